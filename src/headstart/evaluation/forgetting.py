"""What a model no longer knows: on a set that its backbone could answer, and on spoilt pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.model import Model
from headstart.progress import log
from headstart.tasks.heads import OWN, Examples, solve
from headstart.tasks.intervals import bootstrap, mean_interval
from headstart.tasks.task import Indices, Matrix
from headstart.training.earlier import Earlier


def forgetting(
    model: Model, earlier: Earlier, dataset: Dataset, held_out: Indices, *, device: str
) -> dict[str, Any]:
    """Return what ``model`` lost of what its backbone knew, as plain values.

    Args:
        model: after training.
        earlier: a set that the backbone could answer before, with the head that it had.
        dataset: what the model was trained for.
        held_out: indices of its items that were not trained on.
        device: "cpu", "cuda" or "mps".

    Returns:
        What `probed` does; for pictures also ``corruptions``, see `robustness`.
    """
    spoilt = robustness(model, dataset, held_out, device=device) if model.kind == "image" else None
    return probed(model, earlier, device=device) | {"corruptions": spoilt}


def probed(model: Model, earlier: Earlier, *, device: str) -> dict[str, Any]:
    """Return what ``model`` lost on the probe alone, as plain values.

    Returns:
        ``before`` and ``after``: the score of the old head on the backbone as it was and as it is;
        ``relearned``: of a head solved anew on the features as they are; ``lost``: before less
        after, with ``lost_interval``, over the same items; ``n``; ``score``; ``probe``.
    """
    task = earlier.dataset.known.task
    values = earlier.targets(earlier.held_out).values
    after, again = _after(model, earlier, device)
    told = {"before": earlier.outputs, "after": after, "relearned": again}
    figures = {name: task.value(outputs, values) for name, outputs in told.items()}

    def lost(rows: Indices) -> dict[str, float]:
        before = task.value(earlier.outputs[rows], values[rows])
        return {"lost": before - task.value(after[rows], values[rows])}

    return {
        "probe": earlier.dataset.root.resolve().name,
        "n": len(values),
        "score": task.score,
        **figures,
        "lost": figures["before"] - figures["after"],
        "lost_interval": list(bootstrap(lost, len(values))["lost"]),
    }


@dataclass(frozen=True)
class Lost:
    """What was lost on a probe, on average over models of one strategy.

    Attributes:
        probe: its name.
        n: its held-out items.
        before: the score of the backbone as it was, with a head on its features.
        lost: before less after.
        low: lower end of the 95 % interval of ``lost``, which holds the luck of the probe's items
            and, of several models, that of the draws.
        high: upper end.
    """

    probe: str
    n: int
    before: float
    lost: float
    low: float
    high: float

    @classmethod
    def of(cls, found: dict[str, Any]) -> Lost:
        """Return it from what `probed` found of one model."""
        return cls(
            found["probe"], found["n"], found["before"], found["lost"], *found["lost_interval"]
        )

    @classmethod
    def together(cls, several: Sequence[Lost]) -> Lost:
        """Return the mean of ``several``: both kinds of luck add up as variances do.

        >>> one, other = Lost("x", 9, 0.9, 0.1, 0.1, 0.1), Lost("x", 9, 0.9, 0.3, 0.3, 0.3)
        >>> Lost.together([one, other]).lost
        0.2
        """
        mean, low, _ = mean_interval([one.lost for one in several])
        ends = [float(np.mean([getattr(one, end) - one.lost for one in several]))
                for end in ("low", "high")]  # fmt: skip
        below, above = (float(np.hypot(mean - low, end)) for end in ends)
        first = several[0]
        return cls(first.probe, first.n, first.before, mean, mean - below, mean + above)


def _after(model: Model, earlier: Earlier, device: str) -> tuple[Matrix, Matrix]:
    """Return the outputs for the held-out items of the old head, and of one solved anew."""
    if model.backbone is None:  # nothing has moved
        return earlier.outputs, earlier.outputs
    from headstart.boundary.inputs import Inputs

    inputs = Inputs(earlier.dataset, model.entries[0].preprocess)
    train, held_out = (
        model.features(inputs, part, device) for part in (earlier.train, earlier.held_out)
    )
    examples = Examples(train, earlier.targets(earlier.train))
    again, _ = solve(OWN, examples, seed=model.seed)
    return earlier.head.logits(held_out), again.logits(held_out)


def robustness(model: Model, dataset: Dataset, indices: Indices, *, device: str) -> dict[str, Any]:
    """Return the score on pictures as they are and under each standard corruption.

    Returns:
        ``clean``; ``each``: the score by corruption, see
        `headstart.data.pictures.corruptions`; ``mean`` of them; ``lost``: clean less mean.
    """
    from headstart.data.pictures.corruptions import CORRUPTIONS

    values, task = dataset.labels[indices], model.task
    outputs = _reader(model, dataset, indices, device)
    clean = task.value(outputs(None), values)
    log.info("measuring on %d corruptions of %d pictures", len(CORRUPTIONS), len(indices))
    each = {name: task.value(outputs(name), values) for name in CORRUPTIONS}
    mean = float(np.mean(list(each.values())))
    return {"clean": clean, "mean": mean, "lost": clean - mean, "each": each}


def _reader(
    model: Model, dataset: Dataset, indices: Indices, device: str
) -> Callable[[str | None], Matrix]:
    """Return what gives the model's outputs under a corruption; None for none."""
    from headstart.backbones.build import build
    from headstart.boundary.forward import features
    from headstart.boundary.inputs import Inputs
    from headstart.data.pictures.corruptions import corrupted

    networks = [model.backbone or build(entry, seed=model.seed) for entry in model.entries]

    class Spoilt(Inputs):
        """Items as evaluation sees them, spoilt."""

        name: str | None = None

        def _load(self, index: int) -> Any:
            pixels = super()._load(index)
            return pixels if self.name is None else corrupted(pixels, self.name, index)

    def outputs(name: str | None) -> Matrix:
        found = []
        for entry, network in zip(model.entries, networks, strict=True):
            assert isinstance(entry.preprocess, Preprocess)
            inputs = Spoilt(dataset, entry.preprocess)
            inputs.name = name
            found.append(features(network, inputs, indices, device))
        return model.head.logits(np.concatenate(found, axis=1))

    return outputs
