"""`gaussian`: virtual target samples, drawn from Gaussians of the source's classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from headstart.adaptation.coral import recolouring
from headstart.adaptation.method import Method
from headstart.tasks.solvers.lda import shrunk


def class_means(x: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the mean of each class, shape (K, D); of a class without rows, zeros."""
    member = torch.nn.functional.one_hot(labels, n_classes).to(x.dtype)
    return member.T @ x / member.sum(0)[:, None].clamp(min=1)


def virtual_samples(
    x: Tensor, labels: Tensor, n_classes: int, each: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ``each`` samples of every class that has rows, and their labels.

    A sample is its class's mean and a draw from the Gaussian that all classes share, its covariance
    shrunk as in `headstart.tasks.solvers.lda`: features (K each, D) and classes (K each,).

    Args:
        x: features, shape (N, D).
        labels: shape (N,), 0 to below ``n_classes``.
        n_classes: K.
        each: samples a class.
        generator: of the draws.

    Source: Yang, Liu and Xu 2021, arXiv:2101.06395, section 3.3 draws features from Gaussians of
    classes; the move to the target's statistics is that of `coral`.

    >>> x, y = torch.tensor([[0.0], [0.0], [4.0], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> z, labels = virtual_samples(x, y, 2, 3, torch.Generator().manual_seed(0))
    >>> tuple(z.shape), labels.tolist()
    ((6, 1), [0, 0, 0, 1, 1, 1])
    """
    means = class_means(x, labels, n_classes)
    rest = (x - means[labels]).double()
    values, vectors = torch.linalg.eigh(torch.from_numpy(shrunk(rest.numpy())))
    root = (vectors * values.clamp(min=0).sqrt()).to(x.dtype)
    drawn = torch.unique(labels).repeat_interleave(each)
    noise = torch.randn((len(drawn), x.shape[1]), generator=generator, dtype=x.dtype)
    return means[drawn] + noise @ root.T, drawn


@dataclass(frozen=True)
class VirtualSamples(Method):
    """Learn from samples of the source's class Gaussians, moved to the target's statistics.

    When: few source examples a class; the items themselves may not be kept, only means and a
    covariance. When not: classes of several clusters, which one Gaussian does not describe.
    """

    kept_only: ClassVar[bool] = True
    each: int = 100

    def matrix(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the map to the target's covariance."""
        return recolouring(source, target)

    def examples(
        self, source: Tensor, labels: Tensor, n_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the virtual samples in place of the source's."""
        return virtual_samples(source, labels, n_classes, self.each, generator)
