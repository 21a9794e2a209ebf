"""Strategies side by side, on paired draws, with a verdict on every difference."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import inf
from multiprocessing import get_context, parent_process
from typing import Self

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.evaluation import racing
from headstart.evaluation.design import Design, Part
from headstart.evaluation.forgetting import Lost, probed
from headstart.evaluation.pace import time_left
from headstart.evaluation.record import Record
from headstart.evaluation.runs import Cell, Comparison, HeldOut, Run, Shots, samples
from headstart.model import Model
from headstart.progress import OutOfTimeError, log, track, until, watched
from headstart.settings.groups import Carried, Options
from headstart.settings.table import Comparing
from headstart.strategies.registry import strategy
from headstart.tasks.answers import Answers, answered, joined
from headstart.training.earlier import Earlier
from headstart.training.transfer import transfer

Candidate = tuple[str, tuple[Entry, ...], Features | None]
"""A backbone's name, its entries, and their features if some strategy solves on features."""


GRACE = 2.0
"""Seconds after the end of a budget that other processes have to end by themselves."""


def compare(
    dataset: Dataset,
    design: Design,
    candidates: Sequence[Candidate],
    run: Comparing,
    *,
    device: str,
    workers: int,
    moment: float = inf,
    record: Record | None = None,
    earlier: Mapping[str, Earlier] | None = None,
    done: Sequence[Run] = (),
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
        moment: of the monotonic clock at which it must end; then cheap strategies come first,
            and those are dropped that can hardly be the best any more.
        record: keeps the comparison so far, see `Record.note`.
        earlier: by backbone what it could answer before, to tell what is forgotten.
        done: runs of the same design that are part of the result and not run again.
    """
    bench = _Bench(dataset, design, tuple(candidates), run, run.seed, device, earlier or {})
    held_out = HeldOut.of(dataset, design.held_out)
    finished = {(*one.cell, one.draw) for one in done}
    jobs = [job for job in _jobs(bench, run) if (*bench.cell(job), job.draw) not in finished]
    result = Comparison(tuple(done), held_out, len(jobs))
    first = not done
    rounds = _rounds(bench, jobs, races=moment < inf)
    # The first run is done whatever the budget, so nobody may end it.
    cheap = not first or bool(rounds) and bench.solves(rounds[0][0])
    with _Crew(bench, workers, moment if cheap else inf) as crew, record or nullcontext():
        for batch in rounds:
            kept = _worth(bench, batch, result) if moment < inf else batch
            dropped = {bench.cell(job) for job in batch} - {bench.cell(job) for job in kept}
            result = replace(result, stopped=result.stopped | dropped)
            timed = [(job, inf if first and not k else moment) for k, job in enumerate(kept)]
            first = first and not kept
            for one in track(crew.run(timed), "runs", len(kept)):
                runs = (*result.runs, one)
                result = replace(result, runs=runs, unfinished=len(done) + len(jobs) - len(runs))
                if record:
                    record.note(result)
                _show(bench, jobs, result, moment)
    ran = {(*one.cell, one.draw) for one in result.runs}
    left = [bench.cell(job) for job in jobs if (*bench.cell(job), job.draw) not in ran]
    return replace(result, unfinished=sum(cell not in result.stopped for cell in left))


def _show(bench: _Bench, jobs: Sequence[_Job], result: Comparison, moment: float) -> None:
    """Show how far the comparison is to who watches it, if anybody does."""
    if watcher := watched():
        ran = {(*one.cell, one.draw) for one in result.runs}
        cells = [bench.cell(job) for job in jobs if (*bench.cell(job), job.draw) not in ran]
        waiting = [cell for cell in cells if cell not in result.stopped]
        so_far = replace(result, unfinished=len(waiting))
        watcher(so_far, time_left(waiting, result.runs, moment))


def _jobs(bench: _Bench, run: Comparing) -> list[_Job]:
    """Return all jobs, draw by draw: cut short, all strategies have equal draws."""
    return [
        _Job(number, n, which, name)
        for number in range(run.draws)
        for n in run.shots
        for which in range(len(bench.candidates))
        for name in run.strategies
    ]


def _rounds(bench: _Bench, jobs: Sequence[_Job], *, races: bool) -> list[list[_Job]]:
    """Return the jobs in rounds, between which cells may be dropped: cheap ones first."""
    if not races:
        return [list(jobs)] if jobs else []
    rounds: dict[tuple[bool, int], list[_Job]] = {}
    for job in jobs:
        rounds.setdefault((not bench.solves(job), job.draw), []).append(job)
    return [rounds[key] for key in sorted(rounds)]


def _worth(bench: _Bench, batch: Sequence[_Job], result: Comparison) -> list[_Job]:
    """Return the jobs whose cells may still win, and those that train only where there is room."""
    found = samples(result.runs, result.kind.share)
    lost = racing.hopeless(found) | result.stopped
    open_ = racing.room(found)
    begun = {cell for cell in found if cell not in lost}
    return [
        job
        for job in batch
        if bench.cell(job) in begun
        or (bench.cell(job) not in lost and (open_ or bench.solves(job)))
    ]


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
    earlier: Mapping[str, Earlier]

    def within(self, job: _Job, moment: float) -> Run | None:
        """Run ``job``, unless the clock, which all processes share, is or gets past ``moment``."""
        if time.monotonic() > moment:
            return None
        if moment == inf:
            return self.run(job)
        try:
            with until(moment):
                return self.run(job)
        except OutOfTimeError:
            return None

    def cell(self, job: _Job) -> Cell:
        """Return what ``job`` is a run of."""
        return self.candidates[job.candidate][0], job.strategy, job.shots

    def run(self, job: _Job) -> Run:
        """Fit one strategy on one draw, or on its folds, and measure it."""
        targets, start = self.dataset.known, time.perf_counter()
        name = self.candidates[job.candidate][0]
        earlier = self.earlier.get(name)
        found, lost = {}, []
        for k, part in enumerate(self.design.parts(targets, job.shots, job.draw)):
            model, answers = self.answer(job, part, earlier)
            found[k] = part.rows, answers
            if earlier is not None:
                lost.append(Lost.of(probed(model, earlier, device=self.device)))
        about = targets.take(self.design.held_out)
        whole = found[0][1] if len(found) == 1 else joined(found, about)
        seconds = time.perf_counter() - start
        together = Lost.together(lost) if lost else None
        return Run(name, job.strategy, job.shots, job.draw, seconds, whole, together)

    def answer(self, job: _Job, part: Part, earlier: Earlier | None) -> tuple[Model, Answers]:
        """Fit one model, and return it and what it answers on the items held out from it."""
        _, entries, features = self.candidates[job.candidate]
        held_out = self.design.held_out[part.rows]
        how = self.carried(job)
        fitted = transfer(
            self.dataset,
            part.train,
            entries,
            how,
            features=features,
            earlier=earlier,
            say=log.debug,
        )
        model = fitted.model
        outputs = model.outputs(self.dataset, held_out, features=features, device=self.device)
        values = self.dataset.known.values[held_out]
        return model, answered(model.task, outputs, values, trained=len(part.train))

    def carried(self, job: _Job) -> Carried:
        """Return the settings of one fit."""
        own = {"strategy": job.strategy, "seed": self.seed + job.draw, "device": self.device}
        return Carried.of(own, self.options)

    def solves(self, job: _Job) -> bool:
        """Whether a job only solves a head, which takes no time worth another process."""
        return strategy(job.strategy).solves


class _Crew:
    """Who runs jobs: this process, and others beside it for what trains."""

    def __init__(self, bench: _Bench, workers: int, moment: float) -> None:
        self._bench, self._workers, self._moment = bench, workers, moment
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, jobs: Sequence[tuple[_Job, float]]) -> Iterator[Run]:
        """Yield the runs in the order of the jobs, each with the moment at which it must end."""
        try:
            futures = [self._sent(job, end) for job, end in jobs]
            for future, (job, end) in zip(futures, jobs, strict=True):
                found = future.result() if future else self._bench.within(job, end)
                if found:
                    yield found
        except BrokenProcessPool as error:
            if time.monotonic() > self._moment:
                return  # they ended themselves, see `_enter`
            raise HeadstartError(
                f"one of {self._workers} fits side by side was killed, probably for want of "
                "memory; try --workers 1."
            ) from error

    def _sent(self, job: _Job, end: float) -> Future[Run | None] | None:
        """Send ``job`` to another process; None for one that is done in this one."""
        if self._workers < 2 or self._bench.solves(job):
            return None
        if self._pool is None:
            # Without the features, which only solved heads need, and which stay in this process.
            names = tuple((name, entries, None) for name, entries, _ in self._bench.candidates)
            light = replace(self._bench, candidates=names)
            self._pool = ProcessPoolExecutor(
                self._workers,
                get_context("spawn"),
                initializer=_enter,
                initargs=(light, self._workers, self._moment),
            )
        return self._pool.submit(_work, job, end)


_entered: list[_Bench] = []
"""In a worker process: the bench that it was started with."""


def _enter(bench: _Bench, workers: int, moment: float) -> None:
    if moment < inf:
        # Whatever it is at then: not all work looks at the clock.
        timer = threading.Timer(moment + GRACE - time.monotonic(), os._exit, [1])
        timer.daemon = True
        timer.start()
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


def _work(job: _Job, moment: float) -> Run | None:
    return _entered[0].within(job, moment)
