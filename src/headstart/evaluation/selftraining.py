"""Items without labels, used as far as the model is sure of them, and only if that helps.

A model of the labelled items answers the others; where it is sure, its answers are taken for
labels, and a second model learns from both. Whether that helps is not seen on the items held out
for measuring, nor believed: inside the labelled items both ways are gone fold by fold, and the
second model is kept only where the items of the folds are answered better by it, beyond luck.

Source: Lee 2013, "Pseudo-Label", ICML workshop; the folds as in any paired test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features
from headstart.compute.device import pick
from headstart.data.dataset import Dataset
from headstart.settings.groups import Carried
from headstart.strategies.registry import strategy
from headstart.tasks.intervals import mean_interval
from headstart.tasks.task import Indices, Matrix, Targets, Values
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted
from headstart.training.transfer import transfer
from headstart.wording import Said

FOLDS = 3
"""Of strategies that train by steps, each of which takes two fits; those that solve take five."""


@dataclass(frozen=True)
class Outcome:
    """What the items without labels were worth.

    Attributes:
        n: how many there were.
        sure: how many of them the model of all labels was sure of.
        kept: whether the second model was taken.
        gain: by how much the log loss of the folds' items fell, in the mean.
        interval: its 95 % interval over these items.
        inner: the score of the folds' items "without" and "with" them; empty without folds.
    """

    n: int
    sure: int
    kept: bool
    gain: float
    interval: tuple[float, float]
    inner: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "n": self.n,
            "sure": self.sure,
            "kept": self.kept,
            "gain": self.gain,
            "gain_interval": list(self.interval),
            "inner": self.inner,
        }

    def sentence(self) -> str:
        """Return what was done, and why."""
        if not self.inner:
            few = "{n} unlabelled items are not used: too few labels to test if they help"
            return Said(few, n=self.n)
        low, high = self.interval
        found = (
            "of {n} unlabelled items {sure} are answered surely; they are used: on inner folds of "
            "the labelled ones they help; log loss {loss:+.3f} (95 %: {low:+.3f} to {high:+.3f})"
            if self.kept
            else "of {n} unlabelled items {sure} are answered surely; they are not used: on inner "
            "folds of the labelled ones it cannot be told that they help; log loss {loss:+.3f} "
            "(95 %: {low:+.3f} to {high:+.3f})"
        )
        return Said(found, n=self.n, sure=self.sure, loss=-self.gain, low=-high, high=-low)


@dataclass(frozen=True)
class Learner:
    """Fits models on labelled items, and on those without labels that are answered surely.

    Attributes:
        dataset: all items; the targets of those without labels are never looked at.
        unlabelled: their indices.
        entries: the backbones.
        run: strategy, options, seed and device.
        sure: the probability from which an answer counts as a label.
        features: of all items, where the strategy solves a head on them.
        earlier: what the backbone knew before, for strategies that read it.
        say: gets one line an epoch.
    """

    dataset: Dataset
    unlabelled: Indices
    entries: Sequence[Entry]
    run: Carried
    sure: float
    features: Features | None
    earlier: Earlier | None
    say: Callable[[str], None]

    def fitted(self, train: Indices, values: Values) -> Fitted:
        """Return the model of the items at ``train``, whose targets are among ``values``."""
        targets = Targets(self.dataset.known.task, values)
        return transfer(
            replace(self.dataset, targets=targets),
            train,
            self.entries,
            self.run,
            features=self.features,
            earlier=self.earlier,
            say=self.say,
        )

    def outputs(self, fitted: Fitted, indices: Indices) -> Matrix:
        """Return a model's outputs for some of the items."""
        return fitted.model.outputs(
            self.dataset, indices, features=self.features, device=pick(self.run.device)
        )

    def guesses(self, fitted: Fitted) -> tuple[Values, Indices]:
        """Return all targets with the model's answers in place of unknown ones, and the sure ones.

        How sure an answer is: the probability that the model gives it, exp(-log loss).
        """
        outputs = self.outputs(fitted, self.unlabelled)
        answers = fitted.model.task.said_of(outputs)
        chance = np.exp(-fitted.model.task.losses(outputs, answers))
        values = self.dataset.labels.copy()
        values[self.unlabelled] = answers
        return values, self.unlabelled[chance >= self.sure]

    def again(self, first: Fitted, train: Indices) -> tuple[Fitted, int]:
        """Return the model that learns from the sure answers of the ``first`` too, and how many."""
        values, sure = self.guesses(first)
        if not len(sure):
            return first, 0
        return self.fitted(np.sort(np.concatenate([train, sure])), values), len(sure)

    def selftrained(self, first: Fitted, train: Indices) -> tuple[Fitted, Outcome]:
        """Return the better of two models, by a paired test inside ``train``, and the outcome.

        Args:
            first: the model of the labelled items alone.
            train: indices of the labelled items.
        """
        both = self._by_folds(train)
        n = len(self.unlabelled)
        if both is None:
            return first, Outcome(n, 0, False, 0.0, (0.0, 0.0), {})
        truth, sides = both
        task = first.model.task
        settled = [task.settled(outputs, truth)[0] for outputs in sides]
        losses = [
            task.losses(np.asarray(outputs / t, np.float32), truth)
            for outputs, t in zip(sides, settled, strict=True)
        ]
        gain, low, high = mean_interval((losses[0] - losses[1]).astype(np.float64).tolist())
        second, sure = self.again(first, train)
        kept = low > 0 and sure > 0
        scores = [task.value(outputs, truth) for outputs in sides]
        inner = dict(zip(("without", "with"), scores, strict=True))
        outcome = Outcome(n, sure, kept, gain, (low, high), inner)
        return (_calibrated(second, settled[1]) if kept else first), outcome

    def _by_folds(self, train: Indices) -> tuple[Values, tuple[Matrix, Matrix]] | None:
        """Return the targets of the folds' items, and their outputs of both kinds of model."""
        known = self.dataset.known
        folds = known.task.folds(known.values[train], self.run.seed)
        if not strategy(self.run.strategy, self.run).solves:
            folds = folds[:FOLDS]
        if not folds:
            return None
        plain, more = [], []
        for fit, test in folds:
            first = self.fitted(train[fit], known.values)
            second, _ = self.again(first, train[fit])
            plain.append(self.outputs(first, train[test]))
            more.append(self.outputs(second, train[test]))
        truth = known.values[np.concatenate([train[test] for _, test in folds])]
        return truth, (np.concatenate(plain), np.concatenate(more))


def _calibrated(fitted: Fitted, temperature: float) -> Fitted:
    """Return the model as sure as its like were right on items whose labels are known.

    Its own temperature was found on answers that it had been given for labels.
    """
    head = fitted.model.head
    settled = replace(head, temperature=head.temperature * temperature)
    return replace(fitted, model=replace(fitted.model, head=settled))
