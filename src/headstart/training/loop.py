"""The one training loop. It carries out any `Plan`; a strategy never brings a loop of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor, nn

from headstart.backbones.blocks import Backbone
from headstart.boundary.activations import Activations
from headstart.boundary.engine import Batch
from headstart.boundary.forward import Source, forward
from headstart.boundary.inputs import PLAIN, Indices, Inputs, in_batches
from headstart.compute.running import autocast
from headstart.errors import HeadstartError
from headstart.progress import log, track
from headstart.strategies.plan import ADAPTERS, HEAD, MODULES, Stage
from headstart.tasks.head import Head
from headstart.tasks.task import ERROR, LOSS, SELECTION, Task
from headstart.training import adapters, batchnorm, blending, checkpoint, optimiser
from headstart.training.best import Best
from headstart.training.checkpoint import Checkpoints, Saved
from headstart.training.freezing import Watch
from headstart.training.guard import Guard
from headstart.training.interrupts import Interrupts, deferred_interrupts
from headstart.training.job import Job, Place, Scene, Trained
from headstart.training.l2sp import penalty
from headstart.training.objective import Objective, Step
from headstart.training.objectives import objective
from headstart.training.selection import Judge
from headstart.training.snapshots import Snapshots, State, within
from headstart.training.sources import Sources
from headstart.training.start import seeded, start_head, threads


def train(
    backbone: Backbone,
    inputs: Inputs,
    job: Job,
    *,
    checkpoints: Checkpoints | None = None,
    say: Callable[[str], None] = log.info,
) -> Trained:
    """Run the stages of ``job.plan`` on ``backbone``, in place, and return the head.

    Args:
        backbone: is trained in place; ends with the weights of the best epoch.
        inputs: where the items come from.
        job: what to do.
        checkpoints: where to continue from, and where to leave what was done; None for nowhere.
        say: gets one line an epoch.

    Raises:
        HeadstartError: the loss is no longer a number, or something frozen has moved.
        KeyboardInterrupt: the user asked; what was done is in the checkpoints.
    """
    with seeded(job.seed), threads(inputs), deferred_interrupts() as interrupts:
        backbone.to(job.device)
        backbone.batch_statistics = job.plan.batch_statistics
        if job.plan.adapters:
            adapters.attach(backbone, job.plan.adapters, job.seed)
            backbone.adapters = frozenset(adapters.parameters(backbone))
        run = _Run(backbone, inputs, job, checkpoints, interrupts, say)
        for number in range(run.resume(), len(job.plan.stages)):
            run.stage(number, job.plan.stages[number])
        run.blend()
        head, task = run.answer()
        if job.plan.adapters:
            backbone.adapters = frozenset()
            adapters.merge(backbone)
    backbone.eval().to("cpu")
    return Trained(head, task, run.unchanged, run.history, run.sources.cache)


class _Run:
    """The loop's state: what is trained, on what, and the best epochs so far."""

    def __init__(
        self,
        backbone: Backbone,
        inputs: Inputs,
        job: Job,
        checkpoints: Checkpoints | None,
        interrupts: Interrupts,
        say: Callable[[str], None],
    ) -> None:
        self.backbone, self.inputs, self.job, self.say = backbone, inputs, job, say
        self.checkpoints, self.interrupts = checkpoints, interrupts
        self.options = job.options
        self.head: nn.Module = nn.Identity()  # where nothing is predicted
        if job.module is not None:
            self.head = job.module
        elif job.targets is not None:
            width = backbone.n_features + (0 if job.beside is None else job.beside.shape[1])
            self.head = start_head(width, job.targets.task.n_outputs, job.probe, job.softer)
        self.head = self.head.to(job.device)
        self.judge = Judge(backbone, self.head, job.device, job.beside)
        self.snapshots = Snapshots(backbone, self.head)
        self.sources = Sources(backbone, inputs, job, interrupts)
        pulls = job.options.blend or any(stage.pull for stage in job.plan.stages)
        self.start = self._start_weights() if pulls else {}
        self.place = Place()
        self.history: list[dict[str, float]] = []
        self.unchanged = min(map(self._lowest, job.plan.stages))
        self.best = Best(self.options.soup)
        self.watch: Watch | None = None
        self.saved: Saved | None = None
        self.optimiser: torch.optim.Optimizer
        self.peaks: list[float]
        self.source: Source = inputs
        self.objective: Objective

    def answer(self) -> tuple[Head, Task] | tuple[None, None]:
        """Return the head as it answers, and the task; nothing where nothing is predicted."""
        if not isinstance(self.head, nn.Linear):
            return None, None
        with self.interrupts.released():  # only reads: nothing there could end torn
            temperature, task = self.judge.settled(self.inputs, self.source, self.job)
        weight, bias = (p.detach().cpu().numpy().copy() for p in self.head.parameters())
        return Head(weight, bias, temperature=temperature), task

    def blend(self) -> None:
        """End between the weights before and after, where that is asked for and can be judged."""
        job = self.job
        if job.options.blend and len(job.select):
            read = partial(self.judge.outputs, self.inputs, job.select)
            share = blending.blend(self.snapshots, self.start, self._taken(), read, job)
            self.say(f"blended: {share:.0%} of the way from the weights before to those after")
            self.history[-1]["blend"] = share

    def _start_weights(self) -> State:
        return {name: p.detach().clone() for name, p in self.backbone.net.named_parameters()}

    # -- stages -----------------------------------------------------------------------------------

    def stage(self, number: int, stage: Stage) -> None:
        """Train what ``stage`` names; prove that the rest did not move."""
        if self.saved is None:
            self._enter(number, stage)
        self.objective = objective(Scene(stage, self.backbone, self.head, self.job))
        self.objective.modules.to(self.job.device)
        self._set_boundary(stage)
        if self.saved is not None:
            tensors, facts = self.saved.tensors, self.saved.facts["optimiser"]
            self.objective.modules.load_state_dict(within("modules", tensors))
            optimiser.unpack(self.optimiser, within("optimiser", tensors), facts)
            checkpoint.set_random_state(within("random", tensors))
            self.saved = None
        elif self.job.probe is not None:
            self._judge_the_start()
        self._epochs(stage)
        self.guard.check()
        self._leave(stage)

    def _enter(self, number: int, stage: Stage) -> None:
        changed = sorted({*self.place.changed, *stage.trained})
        self.place = Place(number, boundary=self._lowest(stage), changed=changed)
        self.best = Best(self.options.soup)
        self.watch = Watch(stage.freeze) if stage.freeze else None
        if self.watch:
            self.watch.check(self._moving())

    def _lowest(self, stage: Stage) -> int:
        """Return the boundary below which ``stage`` changes nothing."""
        if self.backbone.adapters:
            return min(self.backbone.owner(name) for name in self.backbone.adapters)
        return stage.boundary(self.backbone.n_blocks)

    def _set_boundary(self, stage: Stage) -> None:
        """Freeze what lies below the boundary, and read from there."""
        boundary = self.place.boundary
        self.backbone.set_trainable((k for k in stage.trained if k >= boundary), stage.parts)
        self.guard = Guard(self.backbone)
        self.optimiser = self._optimiser(stage)
        self.peaks = [group["lr"] for group in self.optimiser.param_groups]
        epochs = range(self.place.epoch, stage.epochs)
        self.source = self.sources.at(boundary, self.objective, epochs)

    def _leave(self, stage: Stage) -> None:
        """Go back to the best epoch, or to the average of the best."""
        self._done_with(self.source)
        chosen, used = self.best.choose(self._score_of)
        if chosen is not None:
            self.snapshots.put_back(chosen)
        self._settle()  # nobody has where no epoch was judged, or where several were averaged
        if len(self.best.states) > 1:
            self.say(f"averaged the weights of {used} of the {len(self.best.states)} best epochs")

    def _done_with(self, source: Source) -> None:
        below = any(block < self.place.boundary for block in self.place.changed)
        if isinstance(source, Activations) and below:
            source.forget()  # above weights that only this run has come to,
            self.source = self.inputs  # and that its best epochs need not share

    def _score(self, times: float = 1.0) -> dict[str, float]:
        """Return what the items say that the objective chooses the best epoch by.

        Args:
            times: what the outputs are multiplied by before they are looked at.
        """
        return self.objective.judge(times * self.judge.outputs(self.source, self.objective.judges))

    def _judge_the_start(self) -> None:
        """Let a start that knows something already, a solved head, take part as "no step at all".

        Without it training could end below the probe that it began with, however soft that was.
        """
        if len(self.objective.judges):
            score = self._score(self.job.softer)
            self.best.add(score[LOSS], score.get(ERROR, 0.0), self._taken)
            self.say(f"before any step: {_judged(score)}")

    # -- epochs -----------------------------------------------------------------------------------

    def _epochs(self, stage: Stage) -> None:
        place, patience = self.place, max(3, stage.epochs // 3)
        while place.epoch < stage.epochs:
            start = time.perf_counter()
            loss = self._epoch(stage)
            row: dict[str, float] = {"stage": place.stage, "epoch": place.epoch}
            row |= {"boundary": place.boundary, "loss": loss}
            if len(self.objective.judges):
                self._settle()
                row |= self._score()
                self.best.add(row[LOSS], row.get(ERROR, 0.0), self._taken)
            row["seconds"] = time.perf_counter() - start
            self._note(row, stage.epochs)
            place.epoch, place.batch, place.total = place.epoch + 1, 0, 0.0
            stale = self.options.early_stopping and self.best.since > patience
            if stale and place.epoch < stage.epochs:
                said = "stopped after epoch %d of %d: the loss on the inner part no longer falls"
                log.info(said, place.epoch, stage.epochs)
            if stale or self._done(stage) >= self._n_steps(stage):
                return
            if place.epoch < stage.epochs:
                self._freeze_more(stage)

    def _epoch(self, stage: Stage) -> float:
        """Go once over the training items in a new order; return the mean loss."""
        place = self.place
        self.backbone.train()
        self.guard.check_modes()
        order = self.objective.order(place.epoch)
        left = order[place.batch :]
        label = f"epoch {place.epoch + 1}/{stage.epochs}"
        read = self.source.batches(left, place.epoch) if left else iter(())
        for indices, batch in zip(left, track(read, label, len(left)), strict=True):
            start = time.perf_counter()
            loss = self._step(stage, indices, batch)
            place.total += loss * len(indices)
            place.batch += 1
            place.spent += time.perf_counter() - start
            self._pause()
            if self._done(stage) >= self._n_steps(stage):
                break
        if not math.isfinite(place.total):
            raise HeadstartError(
                f"the loss is {place.total} in epoch {place.epoch + 1}; "
                "try a smaller learning rate."
            )
        return place.total / sum(map(len, order[: place.batch]))

    def _settle(self) -> None:
        """Give batch norm that learns from batches the statistics of the network as it now is."""
        if self.job.plan.batch_statistics:
            chosen = self.objective.settling
            chosen = self.sources.settling if chosen is None else chosen
            parts = in_batches(chosen, self.options.batch)
            seen = (self.source.collate(list(self.source.rows(one, PLAIN))) for one in parts)
            batchnorm.settle(self.backbone, self.source, seen, self.job.device)

    def _step(self, stage: Stage, indices: Indices, batch: Batch) -> float:
        """Take one step on one batch; return its loss."""
        done, n_steps = self._done(stage), self._n_steps(stage)
        share = optimiser.cosine(done, n_steps)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        with autocast(self.job.device):
            beside = self.job.beside
            held = None if beside is None else torch.from_numpy(beside[indices])
            step = Step(indices, batch, self._forward, done / n_steps, held)
            loss = self.objective.loss(step)
        if stage.pull:
            trained = {
                name: p for name, p in self.backbone.net.named_parameters() if p.requires_grad
            }
            first = [self.start[name] for name in trained]
            loss = loss + penalty(list(trained.values()), first, stage.pull)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _forward(self, batch: Batch, other: Backbone | None = None) -> Tensor:
        return forward(other or self.backbone, self.source, batch, self.job.device)

    def _done(self, stage: Stage) -> float:
        """Return how many steps of the stage are done, or how many its time is worth, if more."""
        place, n_steps = self.place, self._n_steps(stage)
        done: float = place.epoch * self.objective.steps + place.batch
        if self.options.max_seconds is None:
            return done
        epochs = sum(one.epochs for one in self.job.plan.stages)
        limit = self.options.max_seconds * stage.epochs / epochs
        return max(done, n_steps * place.spent / limit)

    def _n_steps(self, stage: Stage) -> int:
        return stage.n_steps(self.objective.steps)

    def _moving(self) -> dict[int, list[nn.Parameter]]:
        blocks = range(self.place.boundary, self.backbone.n_blocks)
        return {k: self.backbone.parameters_of(k) for k in blocks}

    def _freeze_more(self, stage: Stage) -> None:
        """Move the boundary up above blocks that hardly change any more."""
        if self.watch is None:
            return
        boundary = self.watch.check(self._moving())
        if boundary <= self.place.boundary:
            return
        self.guard.check()
        before, state = self.source, self.optimiser.state
        self.place.boundary = boundary
        self.say(f"blocks below {boundary} hardly change; frozen for good")
        self._set_boundary(stage)
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                self.optimiser.state[parameter] = state[parameter]
        if isinstance(before, Activations):
            before.forget()

    # -- what is optimised ------------------------------------------------------------------------

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        boundary, fused = self.place.boundary, self.job.device != "mps"
        trains = any(MODULES in group.blocks for group in stage.groups)
        assert trains or not self._parameters(MODULES), "no group of the stage trains the modules"
        return optimiser.build(stage, boundary, self._parameters, self.options, fused=fused)

    def _parameters(self, block: int) -> list[nn.Parameter]:
        if block == HEAD:
            return list(self.head.parameters())
        if block == MODULES:
            return [p for p in self.objective.modules.parameters() if p.requires_grad]
        if block == ADAPTERS:
            return list(adapters.parameters(self.backbone).values())
        return [p for p in self.backbone.parameters_of(block) if p.requires_grad]

    def _taken(self) -> State:
        return self.snapshots.take(self.place.changed)

    # -- the best epochs --------------------------------------------------------------------------

    def _score_of(self, state: State) -> float:
        self.snapshots.put_back(state)
        return -self._score()[LOSS]

    # -- checkpoints ------------------------------------------------------------------------------

    def _pause(self) -> None:
        """Leave a checkpoint when it is time, and stop if the user asked for it."""
        if self.checkpoints is None:
            if self.interrupts.asked:
                raise KeyboardInterrupt
            return
        if self.interrupts.asked or self.checkpoints.due():
            self._save(self.checkpoints)
        if self.interrupts.asked:
            raise KeyboardInterrupt

    def _save(self, checkpoints: Checkpoints) -> None:
        packed, optimiser_facts = optimiser.packed(self.optimiser)
        watched, watch_facts = self.watch.state() if self.watch else ({}, {})
        parts = {
            "now": self._taken(),
            **{f"best{i}": state for i, state in enumerate(self.best.states)},
            "modules": self.objective.modules.state_dict(),
            "optimiser": packed,
            "random": checkpoint.random_state(),
            "watch": watched,
        }
        facts = {
            "place": asdict(self.place),
            "best": self.best.facts(),
            "optimiser": optimiser_facts,
            "watch": watch_facts,
            "history": self.history,
            "cache": self.sources.cache,
        }
        tensors = {f"{part}.{name}": t for part, held in parts.items() for name, t in held.items()}
        checkpoints.save(tensors, facts)

    def resume(self) -> int:
        """Take up the newest checkpoint, if there is one; return the stage to go on with."""
        self.saved = self.checkpoints.latest() if self.checkpoints else None
        if self.saved is None:
            if self.checkpoints and any(self.checkpoints.folder.glob("checkpoint-*")):
                self.say("no checkpoint is intact; starting from the beginning")
            return 0
        tensors, facts = self.saved.tensors, self.saved.facts
        self.place = replace(Place(**facts["place"]))
        self.history, self.sources.cache = facts["history"], facts["cache"]
        self.snapshots.put_back(within("now", tensors))
        best = facts["best"]
        states = [within(f"best{i}", tensors) for i in range(len(best["losses"]))]
        self.best = Best(self.options.soup, states=states, **best)
        rule = self.job.plan.stages[self.place.stage].freeze
        if rule:
            self.watch = Watch.restore(rule, within("watch", tensors), facts["watch"])
        place = self.place
        self.say(
            f"going on from {self.saved.path.name}: stage {place.stage + 1}, "
            f"epoch {place.epoch + 1}, batch {place.batch + 1}"
        )
        return place.stage

    def _note(self, row: dict[str, float], epochs: int) -> None:
        self.history.append(row)
        seen = f", {_judged(row)}" if LOSS in row else ""
        self.say(
            f"epoch {row['epoch'] + 1:g}/{epochs}: loss {row['loss']:.4f}{seen}, "
            f"{row['seconds']:.1f} s"
        )


def _judged(row: dict[str, float]) -> str:
    """Return the figure on the items set aside, ``inner accuracy 0.900``."""
    name = next(key for key in row if key.startswith(SELECTION) and key != LOSS)
    return f"inner {name.removeprefix(SELECTION).replace('_', ' ')} {row[name]:.3f}"
