"""What each method comes to on the two domains, with kept features."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from headstart.adaptation.domains import Domains
from headstart.adaptation.kept import Heads, adapted
from headstart.adaptation.method import Method
from headstart.adaptation.scores import Scores, expected, scores
from headstart.adaptation.space import Material
from headstart.adaptation.statistics import own_statistics
from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, extract
from headstart.boundary.inputs import Indices
from headstart.data.audit import Audit
from headstart.data.pictures.images import Preprocess
from headstart.model import Model
from headstart.settings.groups import Options
from headstart.tasks.head import Head
from headstart.tasks.heads import Examples
from headstart.tasks.task import Figures, Matrix

Entries = tuple[Entry, ...]


@dataclass(frozen=True)
class Candidate:
    """A model for the target that one method has made.

    Attributes:
        model: what answers target items.
        source: figures on held-out source items.
        scores: of its answers for the target's items, without labels.
        expected: accuracy in the target by its own doubt; see `scores.expected`.
        target: figures on the target's test items; None where it has no labels.
        outputs: for the items that are measured: the target's test items, or else the source's
            held-out ones.
        seconds: that the method took, features not counted.
        history: one row an epoch.
    """

    model: Model
    source: Figures
    scores: Scores
    expected: float
    target: Figures | None
    outputs: Matrix
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def source_accuracy(self) -> float:
        """On held-out source items, 0..1."""
        return self.source.value


@dataclass(frozen=True)
class View:
    """The kept features of one domain under some backbones."""

    entries: Entries
    features: Features

    def rows(self, indices: Indices) -> Examples:
        """Return the features with their targets; a target without any has none of use."""
        return self.features.examples(indices)


class Bench:
    """Where methods are tried: both domains' kept features, computed when first asked for.

    Args:
        domains: source and target.
        plain: both domains' features under the backbones as they are.
        options: of training by steps.
        seed: of everything random.
        device: "cpu", "cuda" or "mps".
    """

    def __init__(
        self,
        domains: Domains,
        plain: tuple[View, View],
        options: Options,
        *,
        seed: int,
        device: str,
    ) -> None:
        self.domains, self.options, self.seed, self.device = domains, options, seed, device
        self._views = {False: plain}
        self._translated: dict[Method, Examples] = {}
        self.hits = sum(view.features.hits for view in plain)
        self.misses = sum(view.features.misses for view in plain)
        self.seconds = sum(view.features.seconds for view in plain)

    def views(self, method: Method) -> tuple[View, View]:
        """Return the source's and the target's features as the method wants them."""
        if method.own not in self._views:
            self._views[method.own] = self._own()
        return self._views[method.own]

    def _own(self) -> tuple[View, View]:
        """Return the features with those under each domain's own batch statistics joined."""
        plain, d = self._views[False], self.domains
        sides = ((d.source, d.ours.train), (d.target, d.theirs.train))
        found = [
            self._with_own(view, audit, indices)
            for view, (audit, indices) in zip(plain, sides, strict=True)
        ]
        return found[0], found[1]

    def _with_own(self, view: View, audit: Audit, indices: Indices) -> View:
        how: dict[str, Any] = {"seed": self.seed, "device": self.device}
        made = [own_statistics(entry, audit.dataset, indices, **how) for entry in view.entries]
        own = [entry for entry in made if entry is not None]
        if not own:
            return view
        entries = (*view.entries, *own)
        # Without targets: those of the target may be of classes that the source lacks.
        _, features = extract(replace(audit.dataset, targets=None), entries, **how)
        self.misses += features.misses
        self.seconds += features.seconds
        return View(entries, features.of(audit.dataset))

    def material(self, method: Method, few: Indices | None = None) -> Material:
        """Return what ``method`` may learn from; ``few`` are target items whose labels count."""
        source, target = self.views(method)
        labelled = None if few is None else target.rows(few)
        theirs = target.features.rows(self.domains.theirs.train)
        ours = source.rows(self.domains.ours.train)
        if method.translates and method not in self._translated:
            # Once, also where it is tried again with a few labels of the target.
            self._translated[method] = self._styled(method, target.entries, ours)
        translated = self._translated.get(method)
        return Material(ours, theirs, styled=translated, labelled=labelled)

    def _styled(self, method: Method, entries: Entries, ours: Examples) -> Examples:
        """Return the features of the source's training pictures in the target's style.

        They are read as the target's are, under its statistics.
        """
        from headstart.adaptation.cycle import Painted
        from headstart.adaptation.painted import painted
        from headstart.adaptation.styled import styled

        d = self.domains
        sides = d.source.dataset.take(d.ours.train), d.target.dataset.take(d.theirs.train)
        if isinstance(method, Painted):
            how: dict[str, Any] = {"seed": self.seed, "device": self.device}
            made = painted(method, sides, entries[0], ours, **how)
        else:
            read = entries[0].preprocess
            assert isinstance(read, Preprocess)
            made = styled(sides, read, self.seed)
        found, features = extract(made, entries, device=self.device, seed=self.seed)
        return features.examples(found.usable)

    def attempt(self, method: Method, few: Indices | None = None) -> Candidate:
        """Return what ``method`` comes to."""
        source, target = self.views(method)
        start = time.perf_counter()
        material = self.material(method, few)
        found = adapted(method, material, options=self.options, seed=self.seed, device=self.device)
        held_out = source.rows(self.domains.ours.held_out)
        found = _calibrated(found, held_out) if method.by_steps else found
        task, beside = held_out.targets.task, self.domains.source.dataset.beside
        reader = beside.reader if beside else None
        model = Model(
            target.entries,
            found.target,
            task,
            self.seed,
            columns=self.domains.source.dataset.columns,
            beside=reader,
        )
        test = found.target.logits(target.features.rows(self.domains.theirs.held_out))
        return candidate(
            model,
            self.domains,
            (found.source.logits(held_out.features), found.target.logits(material.target), test),
            seconds=time.perf_counter() - start,
            history=found.history,
        )


def candidate(
    model: Model,
    domains: Domains,
    outputs: tuple[Matrix, Matrix, Matrix],
    *,
    seconds: float,
    history: list[dict[str, float]],
) -> Candidate:
    """Return what is known of ``model``.

    ``outputs`` are for the held-out source items, the target's items without labels, and its test
    items.
    """
    of_source, of_target, of_test = outputs
    labels = domains.source.dataset.labels[domains.ours.held_out]
    source = model.task.evaluate(of_source, labels)
    target = None
    if len(of_test):
        truth = domains.target.dataset.labels[domains.theirs.held_out]
        target = model.task.evaluate(of_test, truth)
    measured = of_source if target is None else of_test
    found, hoped = scores(of_target, model.seed), expected(of_source, labels, of_target)
    return Candidate(model, source, found, hoped, target, measured, seconds, history)


def _calibrated(found: Heads, held_out: Examples) -> Heads:
    """Divide both heads' logits by what the held-out source items say."""
    task, values = held_out.targets.task, held_out.targets.values
    temperature, _ = task.settled(found.source.logits(held_out.features), values)

    def cooled(head: Head) -> Head:
        return replace(head, temperature=head.temperature * temperature)

    return replace(found, source=cooled(found.source), target=cooled(found.target))
