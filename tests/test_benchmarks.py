"""What a benchmark takes from the package, from the tests or from its neighbours is there.

Nothing else runs them, and a linter does not follow imports, those inside functions least of all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
BENCHMARKS = sorted(FOLDER.rglob("*.py"))
OURS = {"headstart", "adversary", "stub_hub", "pages"} | {
    path.relative_to(FOLDER).parts[0].removesuffix(".py") for path in BENCHMARKS
}


def taken(source: str) -> Iterator[tuple[str, str | None]]:
    """Each (module, name) of ours that the source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, None) for a in node.names if a.name.split(".")[0] in OURS)


def missing(source: str) -> list[str]:
    """What the source imports that is not there."""
    lacking = []
    for module, name in taken(source):
        try:
            # a module of a package need not be an attribute of it before it was imported
            if not hasattr(import_module(module), name or "__name__"):
                import_module(f"{module}.{name}")
        except ModuleNotFoundError as error:
            lacking.append(str(error))
    return lacking


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_what_it_imports_is_there(path: Path) -> None:
    assert missing(path.read_text()) == []


def test_a_wrong_import_would_be_seen() -> None:
    assert missing("def f():\n    from headstart.data import nothing_of_that_name")
    assert missing("import adversary.test_nothing")
