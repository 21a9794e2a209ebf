"""Two ways not to forget while something new is learned: rehearsal, and the old answers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.blocks import Backbone
from headstart.boundary.inputs import Indices
from headstart.tasks.head import Head
from headstart.tasks.task import Matrix
from headstart.training.earlier import Earlier
from headstart.training.job import Scene
from headstart.training.objective import Objective, Step
from headstart.training.objectives import Supervised

SOFT = 2.0
"""Temperature of the old answers, as in the paper: what is unlikely counts too."""


def distilled(new: Tensor, old: Tensor, temperature: float = SOFT) -> Tensor:
    """Return the mean cross-entropy of ``new`` outputs with the ``old`` ones, both softened.

    Args:
        new: outputs of the network as it is, shape (N, K).
        old: outputs of the network as it was, for the same items, shape (N, K).
        temperature: that both are divided by; its square brings the gradient back to scale.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2; as used in Li and Hoiem 2016,
    arXiv:1606.09282, equation 2.

    >>> same = torch.tensor([[0.0, 0.0]])
    >>> round(float(distilled(same, same, 1.0)), 4)
    0.6931
    """
    wanted = (old / temperature).softmax(1)
    return -(wanted * (new / temperature).log_softmax(1)).sum(1).mean() * temperature**2


def drifted(new: Tensor, old: Tensor) -> Tensor:
    """Return the mean squared distance of ``new`` features from the ``old``, against their size.

    Args:
        new: features of the network as it is, shape (N, D).
        old: of the network as it was.

    Source: Jung et al. 2016, arXiv:1607.00122, equation 2, divided by the mean square length.

    >>> float(drifted(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 4.0]])))
    0.5625
    """
    return ((new - old) ** 2).sum(1).mean() / (old**2).sum(1).mean().clamp(min=1e-12)


class Rehearsal(Objective):
    """The new items, and in each batch some earlier ones, judged by the head that they had.

    That head stays as it is, so that the features must go on to suit it. The earlier items stand
    behind the new ones in the data that are read.

    Args:
        scene: of the new items.
        earlier: what is rehearsed, its items from index ``first`` on.
        first: see ``earlier``.

    Source: Ratcliff 1990, Psychological Review 97(2); Robins 1995, Connection Science 7(2).
    """

    def __init__(self, scene: Scene, *, earlier: Earlier, first: int) -> None:
        self.new = Supervised.of(scene)
        super().__init__(
            np.concatenate([self.new.reads, first + earlier.train]),
            self.new.steps,
            judges=self.new.judges,
        )
        self.first, self.pool, self.seed = first, first + earlier.train, scene.job.seed
        self.share = scene.job.options.rehearse
        self.values = earlier.dataset.known.values
        self.head = linear(earlier.head).to(scene.job.device)
        known = earlier.targets(earlier.train)
        self.criterion = known.task.criterion(known.values, smoothing=0.0, weighted=False)

    def order(self, epoch: int) -> list[Indices]:
        """Return the batches of the new items, each with its share of earlier ones."""
        rng = np.random.default_rng([self.seed, 23, epoch])
        return [np.concatenate([batch, self._some(batch, rng)]) for batch in self.new.order(epoch)]

    def _some(self, batch: Indices, rng: np.random.Generator) -> Indices:
        n = max(1, round(self.share * len(batch)))
        return rng.choice(self.pool, n, replace=n > len(self.pool))

    def loss(self, step: Step) -> Tensor:
        """Return the sum of all items' losses, divided by the number of new ones."""
        is_new = step.indices < self.first
        n, old = int(is_new.sum()), step.features[~is_new]
        new = Step(step.indices[is_new], step.batch, lambda batch: step.features[is_new])
        truth = self.values[step.indices[~is_new] - self.first]
        share = len(truth) / max(1, n)
        return self.new.loss(new) + share * self.criterion(self.head(old).float(), truth)

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return what the new items set aside say."""
        return self.new.judge(outputs)


class Distilled(Objective):
    """The new items, and the answers that the network gave to them before it began to learn.

    Where nobody knows a head of before, the features themselves are the answers.

    Args:
        scene: of the new items.
        teacher: the network as it was.
        old: the head that it had; None where there is none.

    Source: Li and Hoiem 2016, arXiv:1606.09282, figure 2(e), with the old head held fixed.
    """

    def __init__(self, scene: Scene, *, teacher: Backbone, old: Head | None) -> None:
        self.new = Supervised.of(scene)
        super().__init__(self.new.reads, self.new.steps, judges=self.new.judges)
        self.teacher = teacher.to(scene.job.device).eval().requires_grad_(False)
        self.strength = scene.job.options.distil
        self.old = None if old is None else linear(old).to(scene.job.device)

    def order(self, epoch: int) -> list[Indices]:
        """Return the batches of the new items."""
        return self.new.order(epoch)

    def loss(self, step: Step) -> Tensor:
        """Return the new items' loss, and ``distil`` times how far the old answers are lost."""
        with torch.no_grad():
            before = step.forward(step.batch, self.teacher).float()
        after = step.features.float()
        if self.old is None:
            lost = drifted(after, before)
        else:
            lost = distilled(self.old(after).float(), self.old(before).float())
        return self.new.loss(step) + self.strength * lost

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return what the new items set aside say."""
        return self.new.judge(outputs)


def linear(head: Head) -> nn.Linear:
    """Return a solved ``head`` as a layer that is never trained."""
    layer = nn.Linear(head.weight.shape[1], len(head.bias))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight / head.temperature))
        layer.bias.copy_(torch.from_numpy(head.bias / head.temperature))
    return layer.requires_grad_(False)
