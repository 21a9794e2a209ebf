"""The pull to the starting weights against numpy and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.training.l2sp import penalty

RNG = np.random.default_rng(0)
SHAPES = [(3, 4), (5,), (2, 1, 3)]
NOW, START = ([RNG.normal(size=shape) for shape in SHAPES] for _ in range(2))


def tensors(arrays: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def test_penalty_and_its_gradient_against_numpy() -> None:
    now, start = tensors(NOW), [t.detach() for t in tensors(START)]
    got = penalty(now, start, 0.3)
    expected = 0.15 * sum(np.sum((w - w0) ** 2) for w, w0 in zip(NOW, START, strict=True))
    assert got.item() == pytest.approx(expected, rel=1e-6)
    got.backward()
    for w, w0, tensor in zip(NOW, START, now, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), 0.3 * (w - w0), rtol=1e-6)


def test_at_the_start_nothing_pulls() -> None:
    now = tensors(START)
    got = penalty(now, [t.detach() for t in now], 5.0)
    got.backward()
    assert got.item() == 0
    assert all(not tensor.grad.any() for tensor in now)
    assert float(penalty([], [], 1.0)) == 0


def test_descent_ends_where_pull_and_loss_balance() -> None:
    # 1/2 |w - target|^2 + alpha/2 |w - w0|^2 is least at (target + alpha w0) / (1 + alpha).
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    target, start = torch.arange(4.0).double(), torch.full((4,), 2.0).double()
    optimiser = torch.optim.SGD([w], 0.5)
    for _ in range(200):
        optimiser.zero_grad()
        loss = 0.5 * (w - target).square().sum() + penalty([w], [start], 0.5)
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(w.detach(), (target + 0.5 * start) / 1.5)


def test_start_must_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        penalty(tensors(NOW), tensors(START)[:2], 1.0)
