"""The equations of adaptation against closed forms, NumPy, scikit-learn and plain torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression

from headstart.adaptation import cdan, coral, dann, gaussian, mcc, norm, pseudo, reweight, shot
from headstart.adaptation.cycle import Critic, Painter, adversarial
from headstart.adaptation.method import Method, Pair
from headstart.adaptation.registry import METHODS, PREFERRED, methods
from headstart.adaptation.translate import low_frequencies, spectrum_exchange
from headstart.errors import UsageError
from headstart.settings.option import table
from headstart.settings.table import Adapting
from headstart.tasks.solvers import softmax

RNG = np.random.default_rng(0)


def rows(n: int, width: int, *, seed: int = 0) -> torch.Tensor:
    """Return correlated features away from zero."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)
    return torch.tensor(mixed, dtype=torch.float32)


def test_own_statistics_against_numpy() -> None:
    x = rows(50, 4)
    mean, spread = norm.moments(x)
    found = norm.standardised(x, mean, spread).numpy()
    std = x.numpy().std(0)
    np.testing.assert_allclose(found, (x.numpy() - x.numpy().mean(0)) / (std + 0.1 * std.mean()),
                               rtol=1e-4, atol=1e-5)  # fmt: skip


def test_constant_features_stay_finite() -> None:
    x = torch.ones(5, 3)
    assert norm.standardised(x, *norm.moments(x)).abs().max() == 0


def test_recoloured_rows_have_the_targets_covariance() -> None:
    source, target = rows(200, 5, seed=1), rows(300, 5, seed=2)
    moved = (source - source.mean(0)) @ coral.recolouring(source, target, ridge=1e-9)
    np.testing.assert_allclose(np.cov(moved.numpy().T), np.cov(target.numpy().T), rtol=1e-3)


def test_recolouring_against_scipy() -> None:
    source, target = rows(40, 3, seed=1), rows(40, 3, seed=2)
    c_s, c_t = (np.cov(x.numpy().T.astype(np.float64)) + np.eye(3) for x in (source, target))
    expected = np.linalg.inv(sqrtm(c_s)) @ sqrtm(c_t)
    np.testing.assert_allclose(coral.recolouring(source, target).numpy(), expected, rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_few_rows_of_many_features_give_the_same_map() -> None:
    source, target = rows(6, 40, seed=1), rows(8, 40, seed=2)
    c_s, c_t = (np.cov(x.numpy().T.astype(np.float64)) + np.eye(40) for x in (source, target))
    expected = np.linalg.inv(sqrtm(c_s).real) @ sqrtm(c_t).real
    np.testing.assert_allclose(coral.recolouring(source, target).numpy(), expected, atol=1e-4)


def test_coral_loss_against_numpy() -> None:
    source, target = rows(30, 4, seed=1), rows(20, 4, seed=2)
    gap = np.cov(source.numpy().T) - np.cov(target.numpy().T)
    expected = (gap**2).sum() / (4 * 16)
    assert float(coral.coral_loss(source, target)) == pytest.approx(expected, rel=1e-4)


def test_class_confusion_against_numpy() -> None:
    logits = RNG.normal(size=(7, 3)).astype(np.float32)
    y = softmax(logits / 2.5).astype(np.float64)
    h = -(y * np.log(y)).sum(1)
    w = (1 + np.exp(-h)) * len(y) / (1 + np.exp(-h)).sum()
    c = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            c[i, j] = sum(w[n] * y[n, i] * y[n, j] for n in range(len(y)))
    c /= c.sum(1, keepdims=True)
    expected = sum(c[i, j] for i in range(3) for j in range(3) if i != j) / 3
    found = mcc.minimum_class_confusion(torch.from_numpy(logits))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_reversal_turns_the_gradient() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    (dann.reverse(x, 0.3) ** 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), -0.3 * 2 * x.detach().numpy(), rtol=1e-6)


def test_schedule_rises_from_nothing_to_nearly_one() -> None:
    found = [dann.schedule(p / 10) for p in range(11)]
    assert found[0] == 0 and found == sorted(found) and 0.9999 < found[-1] < 1


def test_domain_loss_against_torch() -> None:
    source, target = torch.randn(5, 1), torch.randn(5, 1)
    truth = torch.cat([torch.ones(5), torch.zeros(5)])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.cat([source, target])[:, 0], truth
    )
    torch.testing.assert_close(dann.domain_loss(source, target), expected)
    ones = torch.ones(5)
    torch.testing.assert_close(cdan.conditional_loss(source, target, ones, ones), expected)


def test_joint_is_the_outer_product() -> None:
    f, g = torch.randn(4, 3), torch.rand(4, 2)
    expected = np.stack([np.outer(g[i], f[i]).ravel() for i in range(4)])
    np.testing.assert_allclose(cdan.joint(f, g).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("method", [dann.Adversarial(), cdan.ConditionalAdversarial()])
def test_the_domains_are_hidden_by_the_features_and_not_by_the_head(method: Any) -> None:
    x, z = torch.randn(6, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)
    head = torch.nn.Linear(3, 2)
    modules = torch.nn.ModuleDict(method.modules(3, 2))
    method.loss(Pair(x, z, head(x), head(z), modules, 0.5)).backward()
    assert head.weight.grad is None or not head.weight.grad.any()
    assert x.grad is not None and x.grad.any() and z.grad is not None and z.grad.any()


def test_random_products_stand_in_for_all() -> None:
    generator = torch.Generator().manual_seed(0)
    f, g = torch.randn(2, 3, generator=generator), torch.rand(2, 2, generator=generator)
    r_f, r_g = (torch.randn(n, 100_000, generator=generator) for n in (3, 2))
    found = cdan.random_joint(f, g, r_f, r_g)
    expected = cdan.joint(f, g)
    np.testing.assert_allclose((found @ found.T).numpy(), (expected @ expected.T).numpy(), atol=0.1)


def test_information_maximisation_against_numpy() -> None:
    logits = RNG.normal(size=(9, 4)).astype(np.float32)
    y = softmax(logits).astype(np.float64)
    mean = y.mean(0)
    expected = -(y * np.log(y)).sum(1).mean() + (mean * np.log(mean)).sum()
    found = shot.information_maximisation(torch.from_numpy(logits))
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_centroids_against_numpy() -> None:
    x, y = rows(10, 3), torch.rand(10, 2)
    unit = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)
    expected = [np.average(unit, axis=0, weights=y.numpy()[:, k]) for k in range(2)]
    centres = shot.centroids(x, y)
    np.testing.assert_allclose(centres.numpy(), expected, rtol=1e-4)
    cosine = unit @ (np.array(expected) / np.linalg.norm(expected, axis=1, keepdims=True)).T
    assert shot.nearest(x, centres).tolist() == cosine.argmax(1).tolist()


def test_only_sure_answers_are_labels() -> None:
    logits = torch.tensor([[5.0, 0.0], [0.2, 0.0]], requires_grad=True)
    loss = pseudo.pseudo_label_loss(logits)
    expected = np.log(1 + np.exp(-5.0)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert logits.grad is not None and logits.grad[1].abs().sum() == 0


def test_density_ratio_against_scikit_learn() -> None:
    source, target = rows(60, 3, seed=1), rows(90, 3, seed=2) * 0.5 + 0.5
    both = torch.cat([source, target]).numpy().astype(np.float64)
    both = (both - both.mean(0)) / both.std(0)
    share = np.repeat([0.5 / 60, 0.5 / 90], [60, 90])
    judge = LogisticRegression(C=0.1 * len(both), tol=1e-10, max_iter=10_000)
    judge.fit(both, np.repeat([0, 1], [60, 90]), sample_weight=share)
    odds = np.exp(judge.decision_function(both[:60])).clip(max=reweight.MOST)
    found = reweight.density_ratio(source, target, 0.1).numpy()
    np.testing.assert_allclose(found, odds / odds.mean(), rtol=1e-2)


def test_density_ratio_of_known_gaussians() -> None:
    # N(0, 1) to N(1, 1): the ratio is exp(x - 1/2), so its logarithm has slope 1.
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(4000, 1, generator=generator).clamp(-2, 2)
    target = torch.randn(4000, 1, generator=generator) + 1
    ratio = reweight.density_ratio(source, target, strength=100.0)
    slope = np.polyfit(source[:, 0].numpy(), np.log(ratio.numpy()), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.15)


def test_virtual_samples_have_the_classes_moments() -> None:
    labels = torch.arange(400) % 2
    x = rows(400, 3, seed=3) + 5 * labels[:, None]
    drawn, truth = gaussian.virtual_samples(x, labels, 3, 5000, torch.Generator().manual_seed(0))
    assert truth.bincount().tolist() == [5000, 5000]
    for k in (0, 1):
        mine, theirs = drawn[truth == k].numpy(), x[labels == k].numpy()
        np.testing.assert_allclose(mine.mean(0), theirs.mean(0), atol=0.15)
        np.testing.assert_allclose(np.cov(mine.T), np.cov(theirs.T), atol=1.0)


def test_exchanged_pictures_keep_the_phase_and_take_the_colour() -> None:
    source, target = 255 * torch.rand(2, 3, 16, 16), 60 + 20 * torch.rand(2, 3, 16, 16)
    low = low_frequencies(16, 16, 0.0)
    assert int(low.sum()) == 1 and bool(low[0, 0])
    # Without the cut to 0..255, done by hand: the exchange of the mean alone moves all pixels.
    expected = source - source.mean((2, 3), keepdim=True) + target.mean((2, 3), keepdim=True)
    torch.testing.assert_close(
        spectrum_exchange(source, target, 0.0), expected.clamp(0, 255), rtol=1e-3, atol=1e-2
    )
    torch.testing.assert_close(spectrum_exchange(source, source, 0.2), source, rtol=1e-3, atol=1e-2)


def test_low_frequencies_are_a_square_around_zero() -> None:
    low = torch.fft.fftshift(low_frequencies(20, 30, 0.1))
    assert low.nonzero().min(0).values.tolist() == [8, 13]
    assert int(low.sum()) == 25


def test_critic_and_painter_learn_at_once_what_they_would_in_turns() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic, painter = Critic(1, 4).double(), Painter(1, 4).double()
        real, drawn = torch.rand(2, 3, 1, 16, 16, dtype=torch.float64)
    adversarial(critic, real, painter(drawn)).backward()
    together = [p.grad.clone() for one in (critic, painter) for p in one.parameters()]
    critic.zero_grad(), painter.zero_grad()  # the usual way: two backward passes, one after another
    fake = painter(drawn).detach()
    (0.5 * ((critic(real) - 1) ** 2).mean() + 0.5 * (critic(fake) ** 2).mean()).backward()
    of_critic = [p.grad.clone() for p in critic.parameters()]
    (0.5 * ((critic(painter(drawn)) - 1) ** 2).mean()).backward()
    for mine, theirs in zip(
        together, of_critic + [p.grad for p in painter.parameters()], strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("size", [(28, 28), (15, 22)])
def test_a_painter_keeps_the_size_and_the_range(size: tuple[int, int]) -> None:
    made = Painter(3)(torch.rand(2, 3, *size))
    assert made.shape == (2, 3, *size) and made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if one.by_steps])
def test_the_loss_of_every_method_by_steps_reaches_the_target(name: str) -> None:
    method = METHODS[name]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = torch.nn.ModuleDict(method.modules(6, 3))
        features = [torch.randn(8, 6, requires_grad=True) for _ in range(2)]
        logits = [3 * one[:, :3] for one in features]
    loss = method.loss(Pair(*features, *logits, modules, 0.5))
    assert loss.isfinite()
    if name == "reweight":  # it has nothing but weights
        assert loss.item() == 0
        return
    loss.backward()
    assert features[1].grad is not None and features[1].grad.abs().sum() > 0


def test_the_help_names_every_method() -> None:
    said = table(Adapting)["method"].help
    assert all(f" {name}" in said for name in METHODS)
    assert sorted(PREFERRED) == sorted(METHODS)


def test_methods_are_named_or_refused() -> None:
    assert list(methods("auto", "text", kept=True)) == ["none", "norm", "coral", "mcc"]
    assert "translate" not in methods("all", "text", kept=True)
    assert "gaussian" not in methods("all", "image", kept=False)
    with pytest.raises(UsageError, match="did you mean 'coral'"):
        methods("corale", "image", kept=True)
    with pytest.raises(UsageError, match="pictures"):
        methods("translate", "text", kept=True)
    with pytest.raises(UsageError, match="64 pixels a side at most, and this backbone reads 224"):
        methods("cycle", "image", kept=True, side=224)
    assert "cycle" not in methods("all", "image", kept=True, side=224)
    assert "cycle" in methods("all", "image", kept=True, side=32)
    with pytest.raises(UsageError, match="kept features"):
        methods("gaussian", "image", kept=False)


def test_a_method_without_steps_has_no_loss() -> None:
    with pytest.raises(UsageError, match="no steps"):
        Method().loss(Pair(*[torch.zeros(1, 1)] * 4, torch.nn.ModuleDict(), 0.0))
