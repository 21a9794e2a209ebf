"""The one training loop. It carries out any `Plan`; a strategy never brings a loop of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.blocks import Backbone
from headstart.errors import HeadstartError
from headstart.features.heads import Head, fit_temperature
from headstart.progress import log
from headstart.strategies.plan import HEAD, Options, Plan, Stage
from headstart.training.source import Activations, Indices, Pictures, in_batches, to_device

SMALL_SIDE = 64
"""Pictures up to this many pixels a side are small."""


@dataclass
class Trained:
    """What the loop hands back.

    Attributes:
        head: the linear head, with the temperature fitted on the inner selection part, if any.
        history: one row an epoch: stage, epoch, loss, seconds, and loss and accuracy on the
            selection part where there is one.
    """

    head: Head
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    backbone: Backbone,
    plan: Plan,
    pictures: Pictures,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    fit: Indices,
    select: Indices,
    options: Options,
    *,
    seed: int = 0,
    device: str = "cpu",
    say: Callable[[str], None] = log.info,
) -> Trained:
    """Run the stages of ``plan`` on ``backbone``, in place, and return the head.

    Args:
        backbone: is trained in place; ends with the weights of the best epoch.
        plan: what is trained, for how long, how fast.
        pictures: where the items come from.
        labels: shape (N,), of the whole data set.
        n_classes: number of classes.
        fit: indices to train on.
        select: indices that choose the best epoch and fit the temperature; may be empty.
        options: batch size, optimiser, loss.
        seed: of the order of items, dropout and random views.
        device: "cpu", "cuda" or "mps".
        say: gets one line an epoch.

    Raises:
        HeadstartError: the loss is no longer a number, or something frozen has moved.
    """
    with _seeded(seed), _threads(pictures.preprocess.size):
        backbone.to(device)
        backbone.batch_statistics = plan.batch_statistics
        head = nn.Linear(backbone.n_features, n_classes).to(device)
        # From zero: the first steps then follow the features, not the accident of a random head.
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        run = _Run(backbone, head, pictures, labels, fit, select, options, seed, device, say)
        pictures.keep_plain(np.concatenate([fit, select]) if pictures.level is None else select)
        for number, stage in enumerate(plan.stages):
            run.stage(number, stage)
        temperature = run.temperature()
    backbone.eval().to("cpu")
    weight, bias = (p.detach().cpu().numpy().copy() for p in (head.weight, head.bias))
    return Trained(Head(weight, bias, temperature=temperature), run.history)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch inside the block and leave the caller's random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _threads(size: tuple[int, int]) -> Iterator[None]:
    """Train on small pictures with one thread: waiting for a second costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if min(size) <= SMALL_SIDE else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """The loop's state: what is trained, on what, and the best epoch so far."""

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Linear,
        pictures: Pictures,
        labels: npt.NDArray[np.int64],
        fit: Indices,
        select: Indices,
        options: Options,
        seed: int,
        device: str,
        say: Callable[[str], None],
    ) -> None:
        self.backbone, self.head, self.pictures = backbone, head, pictures
        self.labels, self.fit, self.select = labels, fit, select
        self.options, self.seed, self.device, self.say = options, seed, device, say
        self.weights = (
            _class_weights(labels[fit], head.out_features) if options.class_weights else None
        )
        self.history: list[dict[str, float]] = []

    def stage(self, number: int, stage: Stage) -> None:
        """Train what ``stage`` names; prove that the rest did not move."""
        boundary = stage.boundary(self.backbone.n_blocks)
        self.backbone.set_trainable(stage.trained)
        before = self.backbone.frozen_digest()
        source: Pictures | Activations = self.pictures
        if boundary > 0:
            source = Activations(
                self.pictures, self.backbone.eval(), boundary, self.fit, self.device
            )
        try:
            self._epochs(number, stage, boundary, source)
        finally:
            if source is not self.pictures:
                source.close()
        if self.backbone.frozen_digest() != before:
            raise HeadstartError("a frozen block changed during training; nothing was saved.")

    def _epochs(
        self, number: int, stage: Stage, boundary: int, source: Pictures | Activations
    ) -> None:
        n_steps = stage.epochs * len(in_batches(self.fit, self.options.batch))
        optimiser = self._optimiser(stage)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: cosine(s, n_steps))
        best, best_state = math.inf, None
        patience = max(3, stage.epochs // 3)
        since = 0
        for epoch in range(stage.epochs):
            start = time.perf_counter()
            loss = self._epoch(epoch, boundary, source, optimiser, schedule)
            row = {"stage": number, "epoch": epoch, "loss": loss}
            if len(self.select):
                row |= self._score()
                since += 1
                if row["selection_loss"] < best:
                    best, best_state, since = row["selection_loss"], self._state(stage), 0
            row["seconds"] = time.perf_counter() - start
            self._note(row, stage.epochs)
            if self.options.early_stopping and since > patience:
                break
        if best_state is not None:
            self._restore(best_state)

    def _epoch(
        self,
        epoch: int,
        boundary: int,
        source: Pictures | Activations,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> float:
        """Go once over the training items in a new order; return the mean loss."""
        self.backbone.train()
        order = np.random.default_rng([self.seed, 3, epoch]).permutation(self.fit)
        batches = in_batches(order, self.options.batch)
        total = 0.0
        read: Iterator[npt.NDArray[Any]] = source.batches(batches, epoch)
        for indices, batch in zip(batches, read, strict=True):
            loss = self._loss(to_device(batch, self.device), indices, boundary)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(indices)
        if not math.isfinite(total):
            raise HeadstartError(
                f"the loss is {total} in epoch {epoch + 1}; try a smaller learning rate."
            )
        return total / len(self.fit)

    def _loss(self, x: Tensor, indices: Indices, boundary: int) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            if boundary == 0:
                x = self.backbone.forward_to(x, 0)
            logits = self.head(self.backbone.forward_from(x, boundary))
        target = torch.from_numpy(self.labels[indices]).to(self.device)
        weights = None if self.weights is None else self.weights.to(self.device)
        return F.cross_entropy(
            logits.float(), target, weight=weights, label_smoothing=self.options.smoothing
        )

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        """Return the optimiser of what is trained, and of nothing else."""
        groups: list[dict[str, Any]] = []
        for group in stage.groups:
            for decayed in (True, False):
                # Scales, shifts and biases are not pulled towards zero (He et al. 2019).
                found = [
                    p for b in group.blocks for p in self._parameters(b) if (p.ndim > 1) == decayed
                ]
                decay = self.options.weight_decay if decayed else 0.0
                groups.append({"params": found, "lr": group.rate, "weight_decay": decay})
        groups = [group for group in groups if group["params"]]
        if self.options.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=0.9)
        # Fused: one pass over all weights, a fifth of the step of a small network otherwise.
        return torch.optim.AdamW(groups, fused=self.device != "mps")

    def _parameters(self, block: int) -> list[nn.Parameter]:
        return list(self.head.parameters()) if block == HEAD else self.backbone.parameters_of(block)

    @torch.inference_mode()
    def _selection_logits(self) -> npt.NDArray[np.float32]:
        self.backbone.eval()
        return np.concatenate(
            [
                self.head(self.backbone(to_device(self.pictures.plain(batch), self.device)))
                .float()
                .cpu()
                .numpy()
                for batch in in_batches(self.select, 64)
            ]
        )

    def _score(self) -> dict[str, float]:
        logits = torch.from_numpy(self._selection_logits())
        target = torch.from_numpy(self.labels[self.select])
        return {
            "selection_loss": float(F.cross_entropy(logits, target)),
            "selection_accuracy": float((logits.argmax(1) == target).float().mean()),
        }

    def temperature(self) -> float:
        """Return the temperature fitted on the selection part; 1 where there is none."""
        if not len(self.select):
            return 1.0
        return fit_temperature(self._selection_logits(), self.labels[self.select])

    def _state(self, stage: Stage) -> list[dict[str, Tensor]]:
        """Return copies of what can change: the trained blocks, buffers included, and the head."""
        body = {
            name: tensor.detach().clone()
            for name, tensor in self.backbone.net.state_dict().items()
            if self.backbone.owner(name) in stage.trained
        }
        return [body, {k: v.detach().clone() for k, v in self.head.state_dict().items()}]

    def _restore(self, state: list[dict[str, Tensor]]) -> None:
        self.backbone.net.load_state_dict(state[0], strict=False)
        self.head.load_state_dict(state[1])

    def _note(self, row: dict[str, float], epochs: int) -> None:
        self.history.append(row)
        seen = f", inner accuracy {row['selection_accuracy']:.3f}" if len(self.select) else ""
        self.say(
            f"epoch {row['epoch'] + 1:g}/{epochs}: loss {row['loss']:.4f}{seen}, "
            f"{row['seconds']:.1f} s"
        )


def cosine(step: int, n_steps: int) -> float:
    """Return the share of the peak rate at ``step``: a tenth of the steps up, then a cosine down.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.

    >>> [round(cosine(s, 20), 2) for s in (0, 1, 2, 11, 19)]
    [0.5, 1.0, 1.0, 0.5, 0.01]
    """
    warm = max(1, n_steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, n_steps - warm)))


def _class_weights(labels: npt.NDArray[np.int64], n_classes: int) -> Tensor:
    """Return weights inversely proportional to class counts, with mean 1 over the examples."""
    counts = np.bincount(labels, minlength=n_classes)
    weights = len(labels) / (np.maximum(counts, 1) * max(1, (counts > 0).sum()))
    return torch.tensor(weights, dtype=torch.float32)
