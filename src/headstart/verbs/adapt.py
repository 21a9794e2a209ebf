"""`adapt`: from a labelled source to a target without labels."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from headstart import bundle as bundles
from headstart.adaptation.choice import choose
from headstart.adaptation.domains import (
    Domains,
    domains,
    read_target,
    require_classes,
    require_common,
)
from headstart.adaptation.registry import METHODS, PREFERRED, methods
from headstart.backbones.choice import entries_for, require_learners, say
from headstart.boundary.extract import extract
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.data.reading import given
from headstart.errors import UsageError
from headstart.place import claimed
from headstart.settings.groups import Reading
from headstart.settings.option import Setting, require_read
from headstart.settings.table import Adapting
from headstart.settings.taking import takes
from headstart.strategies.registry import OFFERED, strategies
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming
from headstart.verbs.fit_result import Fit, worst
from headstart.verbs.gathering import called
from headstart.wording import Said

if TYPE_CHECKING:
    from headstart.adaptation.above import Above
    from headstart.adaptation.candidates import Bench, Candidate
    from headstart.backbones.entry import Entry

SHOTS = (1, 3)
"""Target labels a class, of which the result says what they would bring."""

DRAWS = 3

UNREAD = frozenset(
    {"head", "decay", "augment", "views", "cache_limit", "cache_half", "pull", "rank", "soup"}
    | {"freeze_threshold", "freeze_patience", "checkpoint_every"}
)
"""Options of training by steps that nothing on kept features reads."""


@dataclass(frozen=True)
class Adapted:
    """A model for the target, how it was chosen, and what that cost.

    Attributes:
        fit: the chosen model with its figures; `save` makes a bundle of it.
        method: the one that was chosen.
        candidates: all that were tried, by method.
        why: of each other candidate, why it was not taken.
        few: accuracy and interval with so many labels a class in the target besides, where it has
            labels.
        sizes: items of the source, of the target without labels, and that are measured on.
    """

    fit: Fit
    method: str
    candidates: dict[str, Candidate]
    why: dict[str, str]
    few: dict[int, tuple[float, tuple[float, float]]]
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.method]

    @property
    def expected(self) -> float:
        """What the source-only model seems to reach in the target, by its own doubt, 0..1."""
        return self.candidates["none"].expected

    @property
    def oracle(self) -> str | None:
        """The method that the target's labels would have chosen; None without any."""
        known = {k: one.target.value for k, one in self.candidates.items() if one.target}
        return max(known, key=lambda name: (known[name], name == self.method)) if known else None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart adapt --json` prints."""
        brief = self.fit.to_json()
        of_target = {k: brief.pop(k) for k in ("accuracy", "interval")}
        return {
            **{k: v for k, v in brief.items() if k not in ("n_train", "n_val")},
            **self.sizes,
            "method": self.method,
            "why_not": self.why,
            "scores": {name: _scored(one) for name, one in self.candidates.items()},
            "source_only_expected": self.expected,
            "source_accuracy": self.chosen.source_accuracy,
            "source_interval": list(self.chosen.source.interval),
            **(of_target | self._against_oracle() if self.oracle else {}),
        }

    def _against_oracle(self) -> dict[str, Any]:
        assert self.oracle is not None
        best, mine = self.candidates[self.oracle].target, self.chosen.target
        assert best is not None and mine is not None
        return {
            "oracle": best.value,
            "oracle_method": self.oracle,
            "oracle_gap": best.value - mine.value,
            "with_labels": {
                str(n): {"accuracy": value, "interval": list(interval)}
                for n, (value, interval) in self.few.items()
            },
        }

    def save(self, path: str | Path) -> Bundle:
        """Write the bundle to the folder ``path``, and return it loaded."""
        return self.fit.save(path)


@takes(Adapting, OFFERED)
def adapt(source: Any, target: Any, *, run: Adapting) -> Adapted:
    """Carry the classes of a labelled ``source`` over to an unlabelled ``target``.

    Both are folders, tables, or what `read` returned, of the same kind of items. Method and epoch
    are chosen without a label of the target; where it has labels they measure the result, and what
    the choice cost against the one that they would have made. Of a target without a split of its
    own a share ``val`` is left out of learning for that. Where blocks are trained, by another
    ``strategy`` than "frozen", ``out`` holds checkpoints on the way, and ``resume`` goes on there.

    Raises:
        UsageError: an option is unknown, out of range or not read here.
        DataError: too few target items, or no class in common.
        BackboneError: the backbone or its weights are not here.

    >>> import numpy as np
    >>> from headstart.data.memory.arrays import from_items
    >>> pictures = np.zeros((40, 8, 8), np.uint8); pictures[20:, :, 4] = 200
    >>> pictures += np.arange(40, dtype=np.uint8)[:, None, None]
    >>> names = ["blank"] * 20 + ["line"] * 20
    >>> found = adapt(from_items(pictures, names), from_items(pictures // 2, names), method="norm")
    >>> found.method, found.to_json()["accuracy"]
    ('norm', 1.0)
    """
    if run.out is None:
        return _adapted(source, target, run)
    bundles.check_target(run.out)
    with claimed(run.out):
        return _adapted(source, target, run)


def _adapted(source: Any, target: Any, run: Adapting) -> Adapted:
    start = time.perf_counter()
    ours = given(source, None, run)
    require_classes(ours)
    theirs = read_target(target, run, ours)
    require_common(ours, theirs)
    _require_read(run)
    notes: list[str] = []
    entries = entries_for(run.backbone, ours, run, run.seed, notes)
    require_learners(run, entries)
    frozen = run.strategy == "frozen"
    chosen = methods(run.method, ours.kind, kept=frozen, side=_side(entries[0]))
    bench = _bench(ours, theirs, entries, run, notes)
    candidates = _tried(bench, chosen, run)
    method, why = _choice(run.method, candidates, notes)
    few = {} if run.target_labels else _with_labels(bench, method, run)
    result = Adapted(
        _fit(bench, method, candidates[method], notes, run),
        method,
        candidates,
        why,
        few,
        _sizes(bench.domains),
    )
    result.fit.seconds["total"] = time.perf_counter() - start
    if run.out:
        result.save(run.out)
        shutil.rmtree(run.out / bundles.CHECKPOINTS, ignore_errors=True)
        result = replace(result, fit=replace(result.fit, bundle=run.out))
    return result


def _require_read(run: Adapting) -> None:
    if run.columns and run.strategy != "frozen":
        raise UsageError("columns are joined to kept features; adapt reads them with 'frozen'.")

    def why_not(option: Setting) -> str | None:
        return "nothing on kept features reads it" if option.name in UNREAD else None

    if run.strategy == "frozen":
        require_read(run, why_not)
        return
    (one,) = strategies([run.strategy], run)
    if one.solves or one.needs_classes:
        wanted = "'frozen', or one that trains blocks, such as 'warm' or 'partial:-3'"
        raise UsageError(f"adapt goes with {wanted}; not with '{run.strategy}'.")


def _side(entry: Entry) -> int:
    """Return the pixels a side that the backbone reads; 0 of texts."""
    return max(entry.preprocess.size) if isinstance(entry.preprocess, Preprocess) else 0


def _bench(
    ours: Dataset, theirs: Dataset, entries: tuple[Entry, ...], run: Adapting, notes: list[str]
) -> Bench | Above:
    """Return where methods are tried: on kept features of both domains, or above a boundary."""
    from headstart.adaptation.candidates import Bench, View

    device = pick(run.device)
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    if run.strategy != "frozen":
        return _above(ours, theirs, entries, run, notes)
    found, of_source = extract(ours, entries, **how)
    other, of_target = extract(theirs, entries, **how)
    both = domains(found.require_usable(), other, run, notes)
    sides = ((both.source, of_source), (both.target, of_target))
    views = [View(entries, features.of(side.dataset)) for side, features in sides]
    return Bench(both, (views[0], views[1]), run, **how)


def _above(
    ours: Dataset, theirs: Dataset, entries: tuple[Entry, ...], run: Adapting, notes: list[str]
) -> Above:
    """Return where methods are tried with blocks that train."""
    from headstart.adaptation.above import Above

    if len(entries) > 1:
        raise UsageError(f"joined backbones go with 'frozen', not '{run.strategy}'.")
    both = domains(audit(ours).require_usable(), audit(theirs), run, notes)
    resuming = None
    if run.out:
        folder = run.out / bundles.CHECKPOINTS
        resuming = Resuming(folder, run.resume, run.checkpoint_every)
    return Above(both, entries[0], run, pick(run.device), resuming)


def _tried(bench: Bench | Above, chosen: dict[str, Any], run: Adapting) -> dict[str, Candidate]:
    """Return what each method comes to; all but "none" learn from the labels that are given."""
    few = bench.domains.few(run.target_labels, seed=run.seed) if run.target_labels else None
    return {
        name: bench.attempt(method, None if name == "none" else few)
        for name, method in chosen.items()
    }


def _choice(
    word: str, candidates: dict[str, Candidate], notes: list[str]
) -> tuple[str, dict[str, str]]:
    """Return the method to take; one that is named alone is taken, whatever speaks against it."""
    method, why = choose(candidates, PREFERRED)
    if word in METHODS and method != word:
        rule = "by the rule '{method}' would be taken, not '{word}': {why}"
        say(notes, Said(rule, method=method, word=word, why=why[word]))
        method, why = word, {}
    return method, why


def _with_labels(
    bench: Bench | Above, method: str, run: Adapting
) -> dict[int, tuple[float, tuple[float, float]]]:
    """Return the mean accuracy with few target labels, and its interval, by labels a class."""
    test = bench.domains.theirs.held_out
    if not bench.domains.labelled or not len(test) or run.strategy != "frozen":
        return {}  # where blocks are trained, each would be a training of its own
    way = METHODS[method if method != "none" else "norm"]()
    found = {}
    for shots in SHOTS:
        drawn = [
            bench.attempt(way, bench.domains.few(shots, seed=bench.seed, number=number)).target
            for number in range(DRAWS)
        ]
        figures = [one for one in drawn if one is not None]
        low, high = (mean(f.interval[end] for f in figures) for end in (0, 1))
        found[shots] = mean(f.value for f in figures), (low, high)
    return found


def _sizes(both: Domains) -> dict[str, int]:
    return {
        "n_source": len(both.ours.train),
        "n_target": len(both.theirs.train),
        "n_test": len(both.theirs.held_out),
    }


def _fit(bench: Bench | Above, method: str, one: Candidate, notes: list[str], run: Adapting) -> Fit:
    """Return the chosen candidate as what `fit` returns: measured on the target where it can be."""
    d = bench.domains
    found, parts, evaluation = (
        (d.target, d.theirs, one.target) if one.target else (d.source, d.ours, one.source)
    )
    if one.target is None:
        say(notes, Said("the target has no labels: the figures are of held-out source items"))
    # Items of classes that the source lacks were seen, but have no place on a page.
    known = parts.train[found.dataset.labels[parts.train] >= 0]
    parts = parts._replace(train=known)
    held_out = found.dataset.take(parts.held_out)
    return Fit(
        fitted=Fitted(one.model, f"adapt {method}", one.history),
        dataset=found.dataset,
        audit=found,
        parts=parts,
        evaluation=evaluation,
        seconds={"total": 0.0, "features": bench.seconds, "train": one.seconds},
        cache={"hits": bench.hits, "misses": bench.misses},
        errors=worst(one.model.task, held_out, one.outputs),
        notes=notes,
        reading=run.values(Reading),
        lang=run.lang,
        shown=called("adapt", [d.source.dataset.root.name, d.target.dataset.root.name], run),
    )


def _scored(one: Candidate) -> dict[str, Any]:
    found = one.scores._asdict() | {"source_accuracy": one.source_accuracy}
    return found | ({"accuracy": one.target.value} if one.target else {})
