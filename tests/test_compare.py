"""Comparisons: paired draws, honest verdicts, a budget that is kept."""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import answers, bars, truth
from headstart.backbones.registry import resolve
from headstart.boundary.affordable import affordable
from headstart.boundary.inputs import Inputs
from headstart.data.memory.arrays import from_items
from headstart.errors import DataError, HeadstartError, UsageError
from headstart.evaluation import compare as module
from headstart.evaluation import record
from headstart.evaluation.runs import Comparison, HeldOut, Run, Summary, summarise
from headstart.settings.groups import Options
from headstart.training.fitted import Fitted

ONE = Options(epochs=1)


def runs(shots: int | str = 8, n: int = 400, **accuracies: list[float]) -> list[Run]:
    """Return runs of strategies on draws 0, 1, 2, ... about the same items, the first ones easy."""
    return [
        Run("glyphs", name, shots, draw, 1.0 + draw, answers(np.arange(n) < round(value * n)))  # type: ignore[arg-type]
        for name, values in accuracies.items()
        for draw, value in enumerate(values)
    ]


def summary(rows: list[Run]) -> list[Summary]:
    return list(summarise(rows, truth([0, 1]).task))


def verdicts(n: int = 400, **accuracies: list[float]) -> dict[str, str]:
    return {row.strategy: row.verdict for row in summary(runs(n=n, **accuracies))}


def test_verdicts_are_about_paired_differences() -> None:
    # The draws differ far more than the strategies; paired, the difference is clear all the same.
    luck = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    noise = np.array([0.0, 0.0025, -0.0025, 0.0025, -0.0025])
    found = verdicts(
        good=luck.tolist(), worse=(luck - 0.05 + noise).tolist(), same=(luck - noise).tolist()
    )
    assert found["worse"] == "lower"
    assert {found["good"], found["same"]} == {"best", "not distinguishable"}


def test_verdicts_hold_the_luck_of_the_held_out_items() -> None:
    # Five equal draws: 144 against 148 of 153, all of one against the other's way, is four photos.
    assert verdicts(153, a=[148 / 153] * 5, b=[144 / 153] * 5)["b"] == "not distinguishable"
    assert verdicts(153, a=[148 / 153] * 5, b=[110 / 153] * 5)["b"] == "lower"


def test_what_is_plain_is_said_with_one_draw_and_with_two() -> None:
    assert verdicts(a=[0.9], b=[0.1]) == {"a": "best", "b": "lower"}
    assert verdicts(a=[0.58, 0.56], b=[0.2, 0.22])["b"] == "lower"
    assert verdicts(16, a=[0.9], b=[0.8])["b"] == "not distinguishable"


def test_equal_draws_are_not_distinguishable() -> None:
    assert verdicts(a=[0.9, 0.8], b=[0.9, 0.8]) == {"a": "best", "b": "not distinguishable"}


def test_verdicts_are_given_for_each_number_of_shots() -> None:
    rows = summary(
        runs(1, a=[0.5, 0.51], b=[0.2, 0.21]) + runs("all", a=[0.1, 0.11], b=[0.9, 0.91])
    )
    assert [(row.shots, row.strategy, row.verdict) for row in rows] == [
        (1, "a", "best"),
        (1, "b", "lower"),
        ("all", "a", "lower"),
        ("all", "b", "best"),
    ]


def test_summary_holds_mean_intervals_and_time() -> None:
    (row,) = summary(runs(a=[0.5, 0.7, 0.9]))
    assert row.mean == pytest.approx(0.7)
    assert row.low < 0.6 < 0.8 < row.high
    assert (row.seconds, row.draws, row.trained) == (2.0, 3, 64)
    assert row.figures is not None
    assert row.figures["balanced_accuracy"].mean == pytest.approx(0.7), "all items are of one class"


def test_no_interval_is_without_width() -> None:
    for n in (16, 150):
        (row,) = summary(runs(n=n, a=[1.0] * 5))
        assert row.low < 0.99 < row.high == 1.0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, tuple[int, ...], int]]:
    """What each run was given: strategy, number of items, the items, the seed."""
    given: list[tuple[str, int, tuple[int, ...], int]] = []
    real = module.transfer

    def spy(dataset: Any, train: Any, entries: Any, run: Any, **how: Any) -> Fitted:
        given.append((run.strategy, len(train), tuple(map(int, train)), run.seed))
        return real(dataset, train, entries, run, **how)

    monkeypatch.setattr(module, "transfer", spy)
    return given


def test_all_strategies_see_the_same_items(seen: Any, glyph_graph: Any) -> None:
    data = bars(per_class=15)
    result = headstart.compare(
        data, strategies=["frozen", "partial:-1"], shots=[1, 4], draws=3, folds=0, options=ONE
    )
    drawn: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    for _, n, items, seed in seen:
        drawn.setdefault((n, seed), set()).add(items)
    assert len(drawn) == 2 * 3
    assert all(len(items) == 1 for items in drawn.values())
    assert len({next(iter(items)) for (n, _), items in drawn.items() if n == 8}) == 3
    # More shots hold the fewer of the same draw, and no draw touches what is measured on.
    for seed in range(3):
        assert set(next(iter(drawn[2, seed]))) < set(next(iter(drawn[8, seed])))
    assert len({i for items in drawn.values() for i in next(iter(items))}) <= 24
    assert len(result.runs) == 2 * 2 * 3
    assert result.unfinished == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that moves by a second a run, and that tests may move on."""
    now, real = [0.0], module._Bench.run

    def run(self: Any, job: Any) -> Run:
        now[0] += 1
        return real(self, job)

    monkeypatch.setattr(module._Bench, "run", run)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_budget_leaves_out_what_would_come_after(clock: Any, glyph_graph: Any) -> None:
    result = headstart.compare(bars(), strategies=["frozen"], draws=9, budget=4.5)
    assert 1 < len(result.runs) < 9
    assert len(result.runs) + result.unfinished == 9
    assert [run.draw for run in result.runs] == list(range(len(result.runs)))


def test_a_budget_takes_cheap_strategies_first(clock: Any, glyph_graph: Any) -> None:
    how: dict[str, Any] = {"draws": 3, "options": ONE, "val": 0.5}
    noise = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    data = from_items(noise, ["a", "b"] * 20)
    found = headstart.compare(data, strategies=["partial:-1", "frozen"], budget=90.0, **how)
    assert [run.strategy for run in found.runs] == ["frozen"] * 3 + ["partial:-1"] * 3
    usual = headstart.compare(data, strategies=["partial:-1", "frozen"], **how)
    assert [run.strategy for run in usual.runs] == ["partial:-1", "frozen"] * 3


def test_what_can_not_be_told_from_the_best_is_not_trained(clock: Any, glyph_graph: Any) -> None:
    how: dict[str, Any] = {"strategies": ["partial:-1", "frozen"], "draws": 3, "options": ONE}
    found = headstart.compare(bars(), budget=90.0, **how)
    assert {run.strategy for run in found.runs} == {"frozen"}, "all are right, nothing is ahead"
    assert [cell[1] for cell in found.stopped] == ["partial:-1"]
    assert found.unfinished == 0
    assert found.advice is not None and "left out" in found.advice.more


def test_a_run_ends_when_the_budget_does(
    clock: Any, monkeypatch: pytest.MonkeyPatch, glyph_graph: Any
) -> None:
    real = module.transfer

    def slow(*args: Any, **how: Any) -> Fitted:
        clock[0] += 30 * (args[3].strategy != "frozen")
        return real(*args, **how)

    monkeypatch.setattr(module, "transfer", slow)
    noise = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    data = from_items(noise, ["a", "b"] * 20)
    found = headstart.compare(
        data, strategies=["frozen", "partial:-1"], draws=2, budget=20.0, val=0.5, options=ONE
    )
    assert [run.strategy for run in found.runs] == ["frozen"] * 2
    assert found.unfinished == 2


def test_as_many_items_are_read_as_there_is_time_for(glyph_graph: Any, caplog: Any) -> None:
    data = bars(per_class=100)
    entries = [[resolve("glyphs")]]
    with caplog.at_level("INFO", "headstart"):
        some = affordable(data, entries, -1.0)
    assert len(some) == 64 and "64 of 200 items" in caplog.text
    assert {some.said(i) for i in range(64)} == {"bar 0", "bar 1"}, "drawn at random"
    assert affordable(data, entries, float("inf")) is data


@pytest.mark.slow
def test_a_comparison_concludes(glyph_graph: Any, tmp_path: Path) -> None:
    data = bars(per_class=30)
    how: dict[str, Any] = {"strategies": ["frozen"], "shots": [1, 2, 4], "draws": 3, "goal": 0.99}
    found = headstart.compare(data, out=tmp_path / "c", fit=True, **how)
    said = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert said["advice"].keys() == {"backbone", "strategy", "shots", "sentence", "more"}
    assert [one["name"] for one in said["floors"]] == ["constant answer"]
    assert said["floors"][0]["mean"] == pytest.approx(0.5)
    assert found.goal is None or found.goal.score == 0.99
    assert headstart.load(tmp_path / "c" / "model").facts["strategy"] == "frozen"
    with pytest.raises(UsageError, match="give the folder out"):
        headstart.compare(data, fit=True, **how)


def test_no_budget_is_too_small_for_one_run(glyph_graph: Any) -> None:
    result = headstart.compare(bars(), strategies=["frozen"], draws=3, budget=0.0)
    assert (len(result.runs), result.unfinished) == (1, 2)


def test_repeats(glyph_graph: Any) -> None:
    first, second = (
        headstart.compare(bars(classes=3), strategies=["frozen"], shots=[1], draws=4)
        for _ in range(2)
    )
    assert [run.value for run in first.runs] == [run.value for run in second.runs]


@pytest.mark.slow
def test_workers_do_not_change_the_figures(glyph_graph: Any) -> None:
    alone, together = (
        headstart.compare(
            bars(classes=3),
            strategies=["frozen", "partial:-1"],
            shots=[1, 2],
            draws=2,
            options=ONE,
            workers=workers,
        )
        for workers in (1, 2)
    )

    def figures(result: Comparison) -> list[tuple[Any, ...]]:
        return [(r.backbone, r.strategy, r.shots, r.draw, r.value) for r in result.runs]

    assert figures(alone) == figures(together)


@pytest.mark.slow
def test_a_budget_is_kept_by_all_workers(glyph_graph: Any) -> None:
    result = headstart.compare(
        bars(), strategies=["partial:-1"], draws=9, budget=0.0, workers=2, options=ONE
    )
    assert (len(result.runs), result.unfinished) == (1, 8)


@pytest.mark.slow
def test_processes_that_do_not_look_at_the_clock_end_too(
    monkeypatch: pytest.MonkeyPatch, glyph_graph: Any
) -> None:
    monkeypatch.setattr(module, "_work", _sleeps)
    noise = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    data = from_items(noise, ["a", "b"] * 20)
    found = headstart.compare(
        data, strategies=["frozen", "partial:-1"], draws=2, budget=8.0, val=0.5, workers=2
    )
    assert {run.strategy for run in found.runs} == {"frozen"}
    assert found.unfinished == 2


def _sleeps(job: Any, moment: float) -> None:
    threading.Event().wait(600)


def _dies(bench: Any, workers: int, moment: float) -> None:
    os._exit(9)  # as a process does that the system kills


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_enter", _dies)
    with pytest.raises(HeadstartError, match="--workers 1"):
        headstart.compare(bars(), strategies=["partial:-1"], draws=2, workers=2, options=ONE)


STARTED = """
import sys
from conftest import bars
import headstart
from headstart.evaluation import compare
from headstart.settings.groups import Options

class Bench(compare._Bench):
    def run(self, job):
        import os, signal
        print(os.getpid(), flush=True)
        signal.pause()

compare._Bench = Bench
if __name__ == "__main__":
    headstart.compare(bars(), strategies=["partial:-1"], draws=2, workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes as Linux does")
def test_workers_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "started.py"
    script.write_text(STARTED, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        workers = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
        for worker in workers:
            ended, _, _ = select.select([worker], [], [], 60)
            os.close(worker)
            assert ended, "it would run, or wait, for ever"


@pytest.mark.slow
def test_what_is_measured_on_goes_up_to_the_boundary_once(
    monkeypatch: pytest.MonkeyPatch, glyph_graph: Any
) -> None:
    decoded: list[int] = []
    real = Inputs._load

    def load(self: Inputs, index: int) -> Any:
        decoded.append(index)
        return real(self, index)

    monkeypatch.setattr(Inputs, "_load", load)
    data = bars(per_class=10)
    first = headstart.compare(data, strategies=["partial:2"], shots=[2], draws=3, options=ONE)
    assert len(decoded) == len(set(decoded)), "each item once, in whatever draw and part it is"
    decoded.clear()
    again = headstart.compare(data, strategies=["partial:2"], shots=[2], draws=3, options=ONE)
    assert decoded == []
    assert [run.value for run in first.runs] == [run.value for run in again.runs]


class Stopped(Exception):
    """Stands for whatever ends a comparison half way."""


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glyph_graph: Any
) -> None:
    how: dict[str, Any] = {"shots": [1, 2], "draws": 3, "options": ONE, "seed": 4}
    how["strategies"] = ["frozen", "partial:-1"]
    whole = headstart.compare(bars(), out=tmp_path / "whole", **how)
    ran: list[tuple[Any, ...]] = []
    real = module._Bench.run

    def run(self: Any, job: Any) -> Run:
        if len(ran) == 5:
            raise Stopped
        ran.append((job.strategy, job.shots, job.draw))
        return real(self, job)

    monkeypatch.setattr(module._Bench, "run", run)
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        headstart.compare(bars(), out=out, **how)
    assert len(json.loads((out / "compare.json").read_text())["runs"]) == 5
    first = ran.copy()
    ran.clear()
    with pytest.raises(Stopped):
        headstart.compare(bars(), out=out, resume=True, **how)
    second = ran.copy()
    ran.clear()
    assert not set(first) & set(second)
    found = headstart.compare(bars(), out=out, resume=True, **how)
    assert (len(ran), found.unfinished) == (2, 0)

    def figures(result: Comparison) -> list[tuple[Any, ...]]:
        return [(r.strategy, r.shots, r.draw, r.value) for r in result.runs]

    assert figures(found) == figures(whole)
    read = json.loads((out / "compare.json").read_text())
    assert len(read.pop("digest")) == 32
    assert read.pop("settings")["seed"] == 4
    assert len(read.pop("held_out")["truth"]) == len(found.held_out.targets)
    assert len(read.pop("answers")) == len(found.runs)
    assert read == json.loads(json.dumps(found.to_json()))


@pytest.mark.slow
def test_a_comparison_is_added_to(tmp_path: Path, glyph_graph: Any) -> None:
    how: dict[str, Any] = {"options": ONE, "out": tmp_path}
    headstart.compare(bars(), strategies=["frozen"], shots=[1], draws=2, **how)
    found = headstart.compare(
        bars(),
        strategies=["partial:-1", "frozen"],
        backbones=["glyphs", "random:glyphs"],
        shots=[1],
        draws=2,
        resume=True,
        **how,
    )
    assert len(found.runs) == 2 * 2 * 2
    again = headstart.compare(bars(), strategies=["frozen"], shots=[1], draws=2, resume=True, **how)
    assert again.to_json()["runs"] == found.to_json()["runs"], (
        "what is there stays, whatever is asked for"
    )


def test_a_full_disk_stops_no_comparison(
    tmp_path: Path, monkeypatch: Any, caplog: Any, glyph_graph: Any
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(record, "written_aside", full)
    found = headstart.compare(bars(), strategies=["frozen"], draws=2, out=tmp_path)
    assert len(found.runs) == 2
    assert caplog.text.count("cannot be kept") == 3, "after each run, and in the end"


def test_writing_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: Any) -> None:
    clock, written, real = [100.0], [], record.written_aside
    monkeypatch.setattr(record.time, "monotonic", lambda: clock[0])

    def slow(path: Path) -> Any:
        written.append(clock[0])
        clock[0] += 1.0
        return real(path)

    monkeypatch.setattr(record, "written_aside", slow)
    found = runs(frozen=[0.5] * 60)
    held_out = HeldOut((), truth(np.zeros(400, np.int64)))
    with record.Record(tmp_path, {}) as kept:
        for done in range(1, 61):
            clock[0] += 1.0
            kept.note(Comparison(tuple(found[:done]), held_out, 60 - done))
    assert written[0] == 101, "the first is written at once"
    assert len(written) / (clock[0] - 100) < 0.1
    read = json.loads((tmp_path / "compare.json").read_text())
    assert len(read["runs"]) == 60, "and the last, however soon it comes"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, "seed: was 0, is 1"),
        ({"options": Options(epochs=2)}, "options.epochs: was 1, is 2"),
        ({"val": 0.5}, "training items: was "),
    ],
)
def test_a_comparison_of_something_else_is_refused(
    other: dict[str, Any], said: str, tmp_path: Path, glyph_graph: Any
) -> None:
    how: dict[str, Any] = {"strategies": ["frozen"], "draws": 1, "options": ONE, "out": tmp_path}
    headstart.compare(bars(), **how)
    with pytest.raises(UsageError, match=said):
        headstart.compare(bars(), resume=True, **how | other)
    path = tmp_path / "compare.json"
    path.write_text(path.read_text().replace('"draw": 0', '"draw": 1', 1))
    with pytest.raises(HeadstartError, match="was changed after it was written.*--overwrite"):
        headstart.compare(bars(), resume=True, **how)
    path.write_text("{", "utf-8")
    with pytest.raises(HeadstartError, match="is no record of a comparison"):
        headstart.compare(bars(), resume=True, **how)
    with pytest.raises(FileExistsError):
        headstart.compare(bars(), **how | {"out": tmp_path / "compare.json"})
    with pytest.raises(UsageError, match="give the folder"):
        headstart.compare(bars(), resume=True, **how | {"out": None})


def test_json_is_as_promised(glyph_graph: Any) -> None:
    result = headstart.compare(
        bars(), strategies=["frozen"], backbones=["glyphs"], shots=[1, "all"], draws=2
    )
    found = json.loads(json.dumps(result.to_json()))
    keys = {"backbone", "strategy", "shots", "draw", "accuracy", "seconds"}
    assert all(row.keys() == keys for row in found["runs"])
    assert [row["shots"] for row in found["runs"]] == [1, "all", 1, "all"]
    keys = {"backbone", "strategy", "shots", "mean", "low", "high", "seconds", "verdict"}
    assert all(row.keys() >= keys for row in found["summary"])
    assert all(
        row["figures"].keys() == {"macro_f1", "balanced_accuracy"} for row in found["summary"]
    )


@pytest.mark.parametrize(
    "wrong",
    [{"strategies": []}, {"draws": 0}, {"shots": [0]}, {"strategies": ["x"]}],
)
def test_wrong_use(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        headstart.compare(bars(), **{"strategies": ["frozen"], **wrong})


def test_nothing_to_measure_on(glyph_graph: Any) -> None:
    with pytest.raises(DataError, match="nothing is left to measure on"):
        headstart.compare(bars(per_class=1), strategies=["frozen"])
