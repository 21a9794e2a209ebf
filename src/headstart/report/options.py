"""All options on a page, `docs/options.md`: ``python -m headstart.report.options`` prints it."""

from __future__ import annotations

from headstart.settings.option import REQUIRED, Setting, table
from headstart.settings.table import VERBS
from headstart.strategies.registry import OFFERED, STRATEGIES, readers

HEAD = """# Options

Every option of every verb. Python takes the same names as keyword arguments, `headstart.fit(photos, max_length=64)`, as the command line, `headstart fit photos --max-length 64`; the estimators take those of `fit` that are not about files. An unknown name is answered with the nearest one, and an option that nobody reads (the chosen strategy, this kind of data) is refused with the reason. This page is made: `python -m headstart.report.options > docs/options.md`.
"""  # noqa: E501


def page() -> str:
    """Return the page as Markdown."""
    rows: dict[Setting, list[str]] = {}
    for verb, kind in VERBS.items():
        for row in table(kind).values():
            rows.setdefault(row, []).append(verb)
    sections: dict[str, list[str]] = {}
    for row, verbs in rows.items():
        sections.setdefault(row.panel or "General", []).append(_line(row, verbs))
    titled = (f"\n## {title}\n\n{_TABLE}{''.join(lines)}" for title, lines in sections.items())
    return HEAD + "".join(titled)


_TABLE = "| option | type | default | allowed | | read by |\n|---|---|---|---|---|---|\n"


def _line(row: Setting, verbs: list[str]) -> str:
    cells = (
        f"`{row.name}`",
        "several" if row.type is tuple else row.type.__name__.lower(),
        _default(row),
        "" if row.type in (bool, tuple) else _allowed(row),
        row.help.format_map(OFFERED).partition(" Default: ")[0],
        _read_by(row, verbs),
    )
    return f"| {' | '.join(cells)} |\n"


def _default(row: Setting) -> str:
    if row.default is REQUIRED:
        return "must be given"
    if row.default is None or row.default == ():
        return row.help.partition(" Default: ")[2].rstrip(".")
    shown = row.default if isinstance(row.default, tuple) else (row.default,)
    return f"`{','.join(map(str, shown))}`"


def _allowed(row: Setting) -> str:
    bounded = row.choices or {row.least, row.above, row.most, row.below} != {None}
    return row.allowed if bounded else ""


def _read_by(row: Setting, verbs: list[str]) -> str:
    said = [", ".join(verbs)]
    mine = readers(row)
    if len(mine) < len(STRATEGIES):
        few = len(mine) < len(STRATEGIES) // 2
        others = [name for name in STRATEGIES if name not in mine]
        said.append(f"with {', '.join(mine)}" if few else f"not with {', '.join(others)}")
    said += [f"{row.items}s"] if row.items else []
    said += [f"task {' or '.join(row.tasks)}"] if row.tasks else []
    said += ["networks that learn their words here"] if row.learns_words else []
    return "; ".join(said)


if __name__ == "__main__":
    print(page(), end="")
