"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import headstart

ROOT = Path(headstart.__file__).parent
PATHS = sorted(path.relative_to(ROOT.parent).with_suffix("") for path in ROOT.rglob("*.py"))
MODULES = [".".join(path.parts).removesuffix(".__init__") for path in PATHS]


def examples(module: str) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [found for found in finder.find(import_module(module), module) if found.examples]


@pytest.mark.slow
@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(module: str) -> None:
    runner = doctest.DocTestRunner()
    for example in examples(module):
        runner.run(example)
    assert runner.failures == 0


def test_there_are_examples_and_a_wrong_one_would_be_seen() -> None:
    assert len(examples("headstart.data.pictures.pixels")) == 1
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner().run(wrong, out=lambda _: None).failed == 1
