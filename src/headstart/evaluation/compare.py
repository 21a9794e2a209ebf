"""Strategies side by side, on paired draws, with a verdict on every difference."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import starmap
from math import inf
from multiprocessing import get_context, parent_process

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.evaluation.design import Design, Part
from headstart.evaluation.runs import Comparison, HeldOut, Run, Shots
from headstart.progress import log, track
from headstart.settings.table import Carried, Comparing, Options
from headstart.strategies.registry import strategy
from headstart.tasks.answers import Answers, answered, joined
from headstart.training.transfer import transfer

Candidate = tuple[str, tuple[Entry, ...], Features | None]
"""A backbone's name, its entries, and their features if some strategy solves on features."""


def compare(
    dataset: Dataset,
    design: Design,
    candidates: Sequence[Candidate],
    run: Comparing,
    *,
    device: str,
    workers: int,
    done: Sequence[Run] = (),
    keep: Callable[[Comparison], None] = lambda result: None,
) -> Comparison:
    """Fit every strategy on every draw and measure it on ``design.held_out``.

    Draws are paired: all strategies see the same items in the same draw, so the differences
    between them are not blurred by the luck of the draw.

    Args:
        dataset: the items.
        design: what each draw trains on, and what it is measured on.
        candidates: the backbones.
        run: strategies, shots, draws, seed, budget, and the options of all strategies alike.
        device: "cpu", "cuda" or "mps".
        workers: processes that fit side by side and share the cores: networks for a laptop cannot
            keep several cores busy. Sums over other numbers of threads round differently.
        done: runs of an earlier, like comparison, which are part of the result and not run again.
        keep: is given the comparison so far after each run.
    """
    bench = _Bench(dataset, design, tuple(candidates), run, run.seed, device)
    finished = {(one.backbone, one.strategy, one.shots, one.draw) for one in done}
    # Draw by draw and not strategy by strategy: cut short by the budget, all have equal draws.
    jobs = [
        _Job(number, n, which, name)
        for number in range(run.draws)
        for n in run.shots
        for which in range(len(candidates))
        for name in run.strategies
        if (candidates[which][0], name, n, number) not in finished
    ]
    deadline = time.monotonic() + (run.budget if run.budget is not None else inf)
    runs = list(done)
    about = HeldOut.of(dataset, design.held_out)
    result = Comparison(tuple(runs), about, len(jobs))
    answers = track(_run_all(bench, jobs, workers, deadline), "runs", len(jobs))
    for left, one in enumerate(answers, 1):
        runs.append(one)
        result = Comparison(tuple(runs), about, len(jobs) - left)
        keep(result)
    return result


@dataclass(frozen=True)
class _Job:
    draw: int
    shots: Shots
    candidate: int
    strategy: str


@dataclass(frozen=True)
class _Bench:
    """What all runs have in common."""

    dataset: Dataset
    design: Design
    candidates: tuple[Candidate, ...]
    options: Options | None
    seed: int
    device: str

    def within(self, job: _Job, until: float) -> Run | None:
        """Run ``job``, unless the clock, which all processes share, is past ``until``."""
        return self.run(job) if time.monotonic() <= until else None

    def run(self, job: _Job) -> Run:
        """Fit one strategy on one draw, or on its folds, and measure it."""
        targets, start = self.dataset.known, time.perf_counter()
        parts = list(self.design.parts(targets, job.shots, job.draw))
        found = {k: (part.rows, self.answer(job, part)) for k, part in enumerate(parts)}
        about = targets.take(self.design.held_out)
        whole = found[0][1] if len(found) == 1 else joined(found, about)
        seconds = time.perf_counter() - start
        name = self.candidates[job.candidate][0]
        return Run(name, job.strategy, job.shots, job.draw, seconds, whole)

    def answer(self, job: _Job, part: Part) -> Answers:
        """Fit one model, and return what it answers on the items held out from it."""
        _, entries, features = self.candidates[job.candidate]
        held_out = self.design.held_out[part.rows]
        how = self.carried(job)
        fitted = transfer(self.dataset, part.train, entries, how, features=features, say=log.debug)
        model = fitted.model
        outputs = model.outputs(self.dataset, held_out, features=features, device=self.device)
        values = self.dataset.known.values[held_out]
        return answered(model.task, outputs, values, trained=len(part.train))

    def carried(self, job: _Job) -> Carried:
        """Return the settings of one fit."""
        own = {"strategy": job.strategy, "seed": self.seed + job.draw, "device": self.device}
        return Carried.of(own, self.options)

    def solves(self, job: _Job) -> bool:
        """Whether a job only solves a head, which takes no time worth another process."""
        return strategy(job.strategy).solves


def _run_all(bench: _Bench, jobs: Sequence[_Job], workers: int, deadline: float) -> Iterator[Run]:
    """Yield the runs in the order of the jobs; the first one is run whatever the deadline."""
    timed = [(job, deadline if number else inf) for number, job in enumerate(jobs)]
    answers = _side_by_side(bench, timed, workers) if workers > 1 else starmap(bench.within, timed)
    return (run for run in answers if run)


def _side_by_side(
    bench: _Bench, jobs: Sequence[tuple[_Job, float]], workers: int
) -> Iterator[Run | None]:
    # Without the features, which only solved heads need, and which stay in this process.
    light = replace(bench, candidates=tuple((n, e, None) for n, e, _ in bench.candidates))
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_enter, initargs=(light, workers)
    )
    try:
        futures: list[Future[Run | None] | None] = [
            None if bench.solves(job) else pool.submit(_work, job, until) for job, until in jobs
        ]
        for future, (job, until) in zip(futures, jobs, strict=True):
            yield future.result() if future else bench.within(job, until)
    except BrokenProcessPool as error:
        raise HeadstartError(
            f"one of {workers} fits side by side was killed, probably for want of memory; "
            "try --workers 1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_entered: list[_Bench] = []
"""In a worker process: the bench that it was started with."""


def _enter(bench: _Bench, workers: int) -> None:
    import torch

    # Each process has its share of the cores; more threads would wait for each other.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    _entered[:] = [bench]
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End with the process that started this one, however that ended: nobody else would."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: _Job, until: float) -> Run | None:
    return _entered[0].within(job, until)
