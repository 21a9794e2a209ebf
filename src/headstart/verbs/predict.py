"""`predict`: answers for what the model has not seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

from headstart import bundle as bundles
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.items import arriving
from headstart.errors import UsageError
from headstart.model import Model
from headstart.report.answers import require_writable, written
from headstart.settings.table import Predicting
from headstart.settings.taking import takes


@takes(Predicting)
def predict(bundle: str | Path | Bundle, sources: Any, run: Predicting) -> list[dict[str, Any]]:
    """Return one answer an item of ``sources``, see `headstart.model.Model.stream`.

    With ``top_k`` each answer has a list ``top`` of the likeliest labels too; ``out`` is a table of
    the answers, in which rows of the user's own tables keep their columns.

    Raises:
        UsageError: ``top_k``, where answers have no probabilities; ``out``, where it is there.
    """
    return list(stream_of(bundle, sources, run))


@takes(Predicting)
def stream(bundle: str | Path | Bundle, sources: Any, run: Predicting) -> Iterator[dict[str, Any]]:
    """Yield the answers of `predict` as they come; memory does not grow with their number.

    ``-`` stands for standard input, each line of which is a text; it is answered as it comes.
    """
    return stream_of(bundle, sources, run)


def stream_of(
    bundle: str | Path | Bundle, sources: Any, run: Predicting
) -> Iterator[dict[str, Any]]:
    """Yield the answers under settings that are resolved already."""
    model = (bundle if isinstance(bundle, Bundle) else bundles.load(bundle)).model
    if run.top_k is not None and not model.task.names:
        raise UsageError(f"top_k is for names, and the task '{model.task.name}' has none.")
    if run.out:
        require_writable(run.out, overwrite=run.overwrite)
    if model.kind == "text" and {"images", "anywhere"} & run.given:
        raise UsageError("images and anywhere are for pictures, and this model answers texts.")
    parts = [*_parts(model, sources, run)]
    pairs: Iterator[Pair] = chain.from_iterable(part.pairs for part in parts)
    if run.top_k is not None:
        pairs = ((cells, _with_top(one, run.top_k)) for cells, one in pairs)
    if run.out is None:
        return (answer for _, answer in pairs)
    bare = any(not part.columns for part in parts)
    own = dict.fromkeys([*(["item"] if bare else []), *(c for p in parts for c in p.columns)])
    return written(run.out, model.task, [*own], pairs)


Pair = tuple[Mapping[str, Any], dict[str, Any]]
"""The user's own cells, and an answer."""


class _Part(NamedTuple):
    """Some of what was asked for: the columns of its own, and its answers with their cells."""

    columns: tuple[str, ...]
    pairs: Iterator[Pair]


def _parts(model: Model, sources: Any, run: Predicting) -> Iterator[_Part]:
    device = pick(run.device)
    listed = sources if isinstance(sources, list | tuple) else [sources]
    if not any(map(_is_input, listed)):
        yield _asked(model, sources, run)
        return
    for is_input, group in groupby(listed, key=_is_input):
        if is_input:
            answers = (
                answer
                for lines in arriving(sys.stdin.buffer)
                for answer in model.stream_texts(lines, device=device)
            )
            yield _Part((), (({"item": answer["item"]}, answer) for answer in answers))
        else:
            yield _asked(model, list(group), run)


def _asked(model: Model, sources: Any, run: Predicting) -> _Part:
    items = model.items(sources, whole=run.out is not None, beside=run)
    answers = enumerate(model.stream_items(items, device=pick(run.device)))
    own = items.own
    if own is None:
        return _Part((), (({"item": answer["item"]}, answer) for _, answer in answers))
    # What lies beside a table, in a file of its own, has no row.
    pairs = ((own.row(i) or {"item": answer["item"]}, answer) for i, answer in answers)
    return _Part(own.columns, pairs)


def _is_input(source: Any) -> bool:
    return isinstance(source, str | Path) and str(source) == "-"


def _with_top(answer: dict[str, Any], k: int) -> dict[str, Any]:
    """Return the answer with the ``k`` likeliest labels as ``top``; of equals the first comes."""
    if "error" in answer:
        return answer
    if "probabilities" not in answer:
        raise UsageError("top_k is for answers of one label; boxes have all that is likely.")
    likeliest = sorted(answer["probabilities"].items(), key=lambda one: -one[1])[:k]
    return answer | {"top": [{"label": label, "probability": p} for label, p in likeliest]}
