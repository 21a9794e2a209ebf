"""Which column holds the labels, which the texts or the images: by name, else by looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from headstart.data import folders
from headstart.data.dataset import Kind
from headstart.data.tables.delimited import Rows
from headstart.data.tables.stream import Table, distinct, looks_like_header
from headstart.errors import DataError, UsageError, unknown
from headstart.progress import log
from headstart.tasks.classes import Classes
from headstart.tasks.registry import TASKS, find

_LABELS = (
    ["label_text", "label_name", "class_name", "label", "labels", "class", "category", "target"]
    + ["breed", "species", "sentiment", "topic", "intent", "emotion", "tag", "y"]
    + ["标签", "类别", "分类"]
)
_TEXTS = [
    "text",
    "sentence",
    "review",
    "content",
    "body",
    "message",
    "comment",
    "document",
    "tweet",
] + ["utterance", "question", "query", "abstract", "文本", "内容", "正文", "句子", "评论"]
_HEADINGS = ["title", "headline", "subject", "description", "标题"]
_IMAGES = [
    "image",
    "img",
    "file",
    "filename",
    "file_name",
    "filepath",
    "path",
    "image_path",
    "img_path",
] + ["image_id", "image_name", "photo", "picture", "id", "图片", "文件名"]
_SPLITS = ["split", "set", "partition", "subset"]
_KNOWN = frozenset([*_LABELS, *_TEXTS, *_HEADINGS, *_IMAGES, *_SPLITS])

_LONGEST_FILE_NAME = 255
_SHORTEST_TEXT = 15
_PIXELS, _FEW = 49, 50


class Chosen(NamedTuple):
    """The columns of a data set.

    Attributes:
        kind: what the items are.
        content: the text columns, to be joined by a space, or the one image column.
        labels: the label column, or the columns that each mark one label.
        split: the column that says train, val or test, if there is one.
        beside: columns that are joined to the features of the items.
    """

    kind: Kind
    content: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None
    beside: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The label columns, for messages."""
        return ", ".join(self.labels)


class Asked(NamedTuple):
    """The columns, the kind, the task and the encoding that the user named; None leaves it to us.

    With ``anywhere`` pictures may also lie outside of the table's folder.
    """

    text: Sequence[str] | None = None
    image: str | None = None
    label: Sequence[str] | None = None
    kind: Kind | None = None
    task: str | None = None
    beside: Sequence[str] | None = None
    encoding: str | None = None
    anywhere: bool = False


def is_header(rows: Rows, asked: Asked) -> bool:
    """Return whether the first of ``rows`` names columns: one asked for, or two that are known.

    Without such names it is a guess. Numbers are what columns without a header are called.
    """
    names = set(distinct(rows[0]))
    wanted = {name for name in _wanted(asked) if not name.isdigit()}
    known = {_plain(name) for name in names} & _KNOWN
    return bool(wanted & names) or len(known) > 1 or looks_like_header(rows)


def follows(rows: Rows, wanted: Sequence[str]) -> bool:
    """Return the same for a table after another, which had the ``wanted`` columns."""
    names = set(distinct(rows[0]))
    known = {_plain(name) for name in names} & _KNOWN
    if all(map(str.isdigit, wanted)):
        return len(known) > 1
    return bool(known or names & set(wanted)) or (len(names) > 1 and looks_like_header(rows))


def choose(table: Table, asked: Asked, exists: Callable[[str], bool]) -> Chosen:
    """Return the columns of ``table``; ``exists`` says whether a cell names an image at hand.

    Raises:
        UsageError: a column that was asked for is not there, or is asked for twice.
        DataError: none is found, or several could be meant.
    """
    _check(table, asked)
    beside = tuple(asked.beside or ())
    table = replace(table, names=tuple(name for name in table.names if name not in beside))
    named = label_by_name(table, _wanted(asked))
    labels = tuple(asked.label or filter(None, [named]))
    one = labels[0] if labels else None
    if not (asked.text or asked.image) and asked.kind != "text" and (found := pixels(table, one)):
        split = _split(table, found + labels)
        taken = (*found, split) if split else found
        return Chosen("image", found, labels or _labels(table, taken, asked.task), split, beside)
    image = None if asked.text or asked.kind == "text" else _image(table, asked, one, exists)
    if image:
        content: tuple[str, ...] = (image,)
    else:
        content = tuple(asked.text or texts(table, one))
    split = _split(table, content + labels)
    taken = (*content, split) if split else content
    labels = labels or _labels(table, taken, asked.task)
    return Chosen("image" if image else "text", content, labels, split, beside)


def pixels(table: Table, label: str | None = None) -> tuple[str, ...]:
    """Return the columns that are the pixels of grey square pictures, as Kaggle's digits have them.

    That is a square number of columns, 49 or more, all of numbers from 0 to 255; else none.
    """
    full = table.binary | table.lists
    rest = tuple(name for name in table.names if name not in full)
    for found in (tuple(name for name in rest if name != label), rest[1:], rest[:-1]):
        square = len(found) >= _PIXELS and int(len(found) ** 0.5) ** 2 == len(found)
        if square and all(_is_grey(cell) for name in found for cell in table.sample[name][:_FEW]):
            return found
    return ()


def _is_grey(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 255
    except ValueError:
        return False


def texts(table: Table, label: str | None = None) -> tuple[str, ...]:
    """Return the columns of ``table`` that make up the texts, none of them ``label``."""
    not_texts = table.binary | table.lists
    rest = [name for name in table.names if name != label and name not in not_texts]
    main, headings = _named(rest, _TEXTS), {_plain(name) for name in _HEADINGS}
    found = [name for name in rest if name == main or _plain(name) in headings]
    found = found or [name for name in rest if _reads_like_text(table.sample[name])]
    full = [name for name in rest if any(table.sample[name])]
    if not found and label is None and len(full) == 2:
        rest = [name for name in full if not Classes.looks(table.sample[name])]
    if not found and len(rest) == 1:
        found = rest
    if not found:
        raise _none(table, "text")
    return tuple(found)


def label_by_name(table: Table, taken: Sequence[str] = ()) -> str | None:
    """Return the column that is called like a label column, if there is one not ``taken``."""
    return _named([name for name in table.names if name not in taken], _LABELS)


def image(table: Table, asked: str | None, exists: Callable[[str], bool]) -> str:
    """Return the column of ``table`` that names images, or holds them."""
    found = _image(table, Asked(image=asked, kind="image"), None, exists)
    if found is None:
        raise _none(table, "image")
    return found


def _image(
    table: Table, asked: Asked, label: str | None, exists: Callable[[str], bool]
) -> str | None:
    if asked.image or table.binary:
        return asked.image or sorted(table.binary)[0]
    rest = [name for name in table.names if name != label]
    for name in sorted(rest, key=lambda name: _rank(name, _IMAGES)):
        # Looking for files is dear, and texts are not called like files.
        cells = table.sample[name]
        if _share(cells, _may_name_a_file) >= 0.5 and _share(cells, exists) >= 0.5:
            return name
    named = [name for name in rest if _share(table.sample[name], _ends_like_image) > 0.5]
    if named or asked.kind == "image":
        column = f"in column '{named[0]}' " if named else ""
        raise DataError(
            f"the images that {table.path} names {column}are not beside it;"
            " say where they are with the option images (--images FOLDER), or let the table say it"
            " itself with anywhere (--anywhere)"
        )
    return None


def _ends_like_image(cell: str) -> bool:
    return cell.strip().lower().endswith(tuple(folders.SUFFIXES["image"]))


def _may_name_a_file(cell: str) -> bool:
    one_word = len(cell.split()) == 1 and len(cell) <= _LONGEST_FILE_NAME
    return one_word or _ends_like_image(cell)


def _share(cells: Sequence[str], test: Callable[[str], bool]) -> float:
    few = [cell for cell in cells[:200] if cell]
    return sum(map(test, few)) / len(few) if few else 0.0


def _labels(table: Table, taken: Sequence[str], task: str | None) -> tuple[str, ...]:
    """Return the column whose cells look like targets: of classes, if there is one.

    Several columns of marks, 0 and 1, are labels together.
    """
    rest = [name for name in table.names if name not in taken and name not in table.binary]
    found: list[str] = []
    kinds = [find(task)] if task else [*TASKS.values()]
    marks = [name for name in rest if any(kind.marked(table.sample[name]) for kind in kinds)]
    others = [name for name in rest if name not in marks and Classes.looks(table.sample[name])]
    if len(marks) > 1 and not others:
        return tuple(marks)
    for kind in kinds:
        found = found or [name for name in rest if kind.looks(table.sample[name])]
    if not found and len(rest) == 1:
        return (rest[0],)
    if len(found) != 1:
        raise _none(table, "label", found)
    return (found[0],)


def _reads_like_text(cells: Sequence[str]) -> bool:
    few = cells[:200]
    length = sum(map(len, few)) / max(1, len(few))
    return length >= _SHORTEST_TEXT and sum(map(_has_words, few)) * 2 >= len(few)


def _has_words(cell: str) -> bool:
    """Dates and coordinates have spaces as well, but more digits than letters."""
    start = cell.strip()[:200]
    several = " " in start or not start.isascii()
    return several and sum(map(str.isalpha, start)) > sum(map(str.isdigit, start))


def _split(table: Table, taken: Sequence[str]) -> str | None:
    name = _named([name for name in table.names if name not in taken], _SPLITS)
    cells = set(table.sample[name]) if name else set()
    others = sorted(cell for cell in cells if not folders.split_name(cell))
    if cells and not others:
        return name
    if len(others) < len(cells):
        which = f"'{others[0]}' is none of train, val and test"
        log.warning("%s: not splitting by column '%s', for %s", table.path, name, which)
    return None


def _named(names: Iterable[str], known: Sequence[str]) -> str | None:
    ranked = sorted(names, key=lambda name: _rank(name, known))
    return ranked[0] if ranked and _rank(ranked[0], known) < len(known) else None


def _rank(name: str, known: Sequence[str]) -> int:
    plain = _plain(name)
    return known.index(plain) if plain in known else len(known)


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _wanted(asked: Asked) -> list[str]:
    told = (*(asked.text or ()), asked.image, *(asked.label or ()), *(asked.beside or ()))
    return [name for name in told if name]


def _check(table: Table, asked: Asked) -> None:
    wanted = _wanted(asked)
    for name in wanted:
        if name not in table.names:
            raise unknown("column", name, table.names)
        if wanted.count(name) > 1:
            raise UsageError(f"column '{name}' is asked for twice; name another one")
    for name in asked.beside or ():
        if name in table.binary:
            raise UsageError(f"column '{name}' holds pictures, not numbers or categories")


def _none(table: Table, what: str, found: Sequence[str] = ()) -> DataError:
    several = f"several columns could hold the {what}s: {', '.join(found)}"
    return DataError(
        f"{table.path}: {several if found else f'no {what} column found'}."
        f" Columns: {', '.join(table.names)}. Name one with the option {what}_column"
        f" (--{what}-column)"
    )
