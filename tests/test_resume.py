"""Runs that are interrupted anywhere, and end with the weights of one that was left alone."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.numpy import load_file

from conftest import bars, save_bars, save_encoder, sentences
from headstart import api, bundle
from headstart.data.dataset import Dataset
from headstart.errors import UsageError, exit_code
from headstart.report import html
from headstart.store import Shelves
from headstart.strategies.plan import Options
from headstart.training import loop, soup
from headstart.training.checkpoint import Checkpoints

# Rates at which something moves in few steps; enough items for some to choose the best epoch.
FEW = {"epochs": 3, "batch": 10, "body_rate": 1e-3, "head_rate": 1e-2}
VIEWS = FEW | {"augment": "light", "views": 2, "soup": 3}
MOVING = FEW | {"epochs": 5, "decay": 0.3, "freeze_threshold": 0.004, "freeze_patience": 1}

PICTURES = {
    "warm": FEW | {"soup": 3},
    "warm, views of each epoch": FEW | {"augment": "strong", "optimiser": "sgd"},
    "partial:2": VIEWS,
    "partial:2, nothing kept": FEW | {"cache_limit": 0.0},
    "gradual": VIEWS | {"epochs": 4},
    "auto-freeze": MOVING | {"soup": 3, "augment": "light"},
    "l2-sp": FEW | {"pull": 0.5},
    "lp-ft": FEW,
    "first:2": FEW | {"smoothing": 0.1, "class_weights": True},
    "scratch": FEW | {"epochs": 2},
}
TEXTS = {
    "warm": FEW | {"soup": 2},
    "partial:-1": FEW,
    "contrastive": FEW,
    "lora": FEW,
    "auto-freeze": MOVING,
    "scratch": FEW | {"epochs": 2, "min_frequency": 1},
}


class Result(NamedTuple):
    """What two runs must have in common, bit for bit."""

    numbers: dict[str, bytes]
    history: list[dict[str, float]]
    temperature: float
    accuracy: float


class Run:
    """The same fit as often as wanted, each time into the same folder."""

    def __init__(self, data: Dataset | Path, out: Path, strategy: str, **options: Any) -> None:
        self.data, self.out = data, out
        self.how: dict[str, Any] = {"strategy": strategy, "options": Options(**options)}

    def __call__(self, *, resume: bool = False, every: float = 0.0) -> Result:
        made = api.fit(
            self.data, out=self.out, resume=resume, every=every, device="cpu", **self.how
        )
        fitted = made.fitted
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.history]
        return Result(numbers(self.out), history, fitted.head.temperature, made.accuracy)

    def undisturbed(self) -> Result:
        """Run it without checkpoints on the way, and leave nothing."""
        result = self(every=1e9)
        shutil.rmtree(self.out)
        return result

    @property
    def checkpoints(self) -> list[Path]:
        folder = self.out / bundle.CHECKPOINTS
        return sorted(folder.iterdir()) if folder.is_dir() else []


def numbers(out: Path) -> dict[str, bytes]:
    return {name: v.tobytes() for name, v in load_file(out / "model.safetensors").items()}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    data = sentences(20)
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[str], Run]:
    """From a name in `PICTURES` to its run."""

    def named(name: str) -> Run:
        return Run(bars(20), tmp_path / "out", name.partition(",")[0], **PICTURES[name])

    return named


@pytest.fixture
def texts(tmp_path: Path, encoder: str) -> Callable[[str], Run]:
    """From a name in `TEXTS` to its run."""

    def named(name: str) -> Run:
        run = Run(sentences(20), tmp_path / "out", name, **TEXTS[name])
        run.how["backbone"] = encoder if name != "scratch" else "bilstm"
        return run

    return named


def until(steps: int, run: Run, *, resume: bool = False) -> Result | None:
    """Run until so many steps are done; return what comes of it if it ended before."""
    real, done = loop._Run._step, []

    def step(self: Any, *how: Any) -> float:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(how)
        return real(self, *how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Run, "_step", step)
        try:
            return run(resume=resume)
        except KeyboardInterrupt:
            return None


# -- the same weights -----------------------------------------------------------------------------


def test_stopped_at_every_step_in_turn(pictures: Callable[[str], Run]) -> None:
    run = pictures("gradual")
    expected = run.undisturbed()
    assert [row["boundary"] for row in expected.history] == [5, 3, 1, 0]
    steps = 0
    while until(steps, run) is None:
        assert len(run.checkpoints) == min(steps, 2)
        assert run(resume=True) == expected, steps
        shutil.rmtree(run.out)
        steps += 1
    assert steps == 4 * 3


def step_by_step(run: Run) -> None:
    expected = run.undisturbed()
    stops = 0
    while (result := until(1, run, resume=True)) is None:
        stops += 1
    assert result == expected
    assert stops >= 5
    shutil.rmtree(run.out)
    assert until(2 * stops // 3, run) is None
    assert until(1, run, resume=True) is None
    assert run(resume=True) == expected


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_step_by_step(name: str, pictures: Callable[[str], Run]) -> None:
    step_by_step(pictures(name))


@pytest.mark.parametrize("name", TEXTS)
def test_texts_step_by_step(name: str, texts: Callable[[str], Run]) -> None:
    step_by_step(texts(name))


def test_these_runs_do_what_they_are_for(
    pictures: Callable[[str], Run], texts: Callable[[str], Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for run in (pictures("auto-freeze"), texts("auto-freeze")):
        assert len({row["boundary"] for row in run().history}) > 2
        shutil.rmtree(run.out)
    one, other = pictures("warm"), texts("warm")
    one(), shutil.rmtree(one.out), other()
    assert "averaged the weights of" in caplog.text


PLACES = [
    *((loop._Run, "_enter", n) for n in (1, 2, 4)),
    *((loop._Run, "_score", n) for n in (1, 3)),
    *((loop._Run, "_leave", n) for n in (1, 4)),
    *((loop._Run, "temperature", 1), (soup, "greedy", 2)),
    *((Shelves, "add", n) for n in (7, 100)),
    *((Checkpoints, "save", n) for n in (1, 5)),
    *((bundle, "save", 1), (html, "write_report", 1)),
]


@pytest.mark.parametrize(("owner", "name", "number"), PLACES, ids=str)
def test_stopped_between_the_steps(
    owner: Any, name: str, number: int, pictures: Callable[[str], Run]
) -> None:
    run = pictures("gradual")
    run.how["options"] = replace(run.how["options"], epochs=8)
    expected = run.undisturbed()
    real, calls = getattr(owner, name), []

    def stopping(*how: Any, **more: Any) -> Any:
        calls.append(how)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*how, **more)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, stopping)
        run()
    assert run(resume=True) == expected
