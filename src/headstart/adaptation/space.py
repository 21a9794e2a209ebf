"""Where the domains are compared: their features, each in its own statistics or as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from headstart.adaptation.norm import moments, standardised
from headstart.tasks.head import Head
from headstart.tasks.heads import Examples
from headstart.tasks.task import Matrix, Targets

if TYPE_CHECKING:
    from headstart.adaptation.method import Method


@dataclass(frozen=True)
class Material:
    """What a method may learn from, as features.

    Attributes:
        source: of the source's training items, with their targets.
        target: of target items, shape (M, D); nothing is known of their targets.
        styled: of the source's pictures in the target's style; None where none were made.
        labelled: of the few target items with labels, if the user has some.
    """

    source: Examples
    target: Matrix
    styled: Examples | None = None
    labelled: Examples | None = None


@dataclass(frozen=True)
class Moments:
    """The mean and the spread of one domain's features, shape (D,) each."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, features: Matrix, *, own: bool) -> Moments:
        """Return the features' moments; with ``own`` off, 0 and 1, which leave all as it is."""
        x = tensor(features)
        if own:
            return cls(*moments(x))
        return cls(torch.zeros(x.shape[1]), torch.ones(x.shape[1]))

    def inside(self, features: Matrix) -> Tensor:
        """Return features as the space has them."""
        return standardised(tensor(features), self.mean, self.spread)

    def outside(self, head: Head) -> Head:
        """Return the head of the features themselves, from one of what `inside` makes of them."""
        weight = head.weight / self.spread.numpy()
        return replace(head, weight=weight, bias=head.bias - weight @ self.mean.numpy())


@dataclass(frozen=True)
class Space:
    """Both domains' moments, and the matrix that the method puts on the source, (D, D) or None."""

    source: Moments
    target: Moments
    matrix: Tensor | None

    @classmethod
    def of(cls, method: Method, material: Material) -> Space:
        """Return the space in which ``method`` compares the domains."""
        ours = Moments.of(material.source.features, own=method.own)
        theirs = Moments.of(material.target, own=method.own)
        x, y = ours.inside(material.source.features), theirs.inside(material.target)
        return cls(ours, theirs, method.matrix(x, y))

    def of_source(self, features: Matrix) -> Tensor:
        """Return source features in the space."""
        x = self.source.inside(features)
        return x if self.matrix is None else x @ self.matrix

    def examples(self, material: Material) -> tuple[Tensor, Targets]:
        """Return all that has labels, in the space: source, styled, and labelled target items.

        The few labelled target items come again and again, until they are as many as the others.
        """
        rows, labels = [self.of_source(material.source.features)], [material.source.targets.values]
        if material.styled is not None:
            own = Moments.of(material.styled.features, own=True)
            rows.append(own.inside(material.styled.features))
            labels.append(material.styled.targets.values)
        if material.labelled is not None:
            again = np.resize(np.arange(len(material.labelled.features)), sum(map(len, labels)))
            rows.append(self.target.inside(material.labelled.features[again]))
            labels.append(material.labelled.targets.values[again])
        return torch.cat(rows), Targets(material.source.targets.task, np.concatenate(labels))

    def heads(self, head: Head) -> tuple[Head, Head]:
        """Return the heads of source and of target features, from one of the space."""
        moved = head
        if self.matrix is not None:
            moved = replace(head, weight=head.weight @ self.matrix.numpy().T)
        return self.source.outside(moved), self.target.outside(head)


def tensor(rows: Matrix) -> Tensor:
    """Return features as a tensor of 32-bit floats."""
    return torch.from_numpy(np.ascontiguousarray(rows, np.float32))
