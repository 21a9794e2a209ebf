"""A model that answers with boxes: a backbone's maps, and a detector on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features
from headstart.data.dataset import Dataset
from headstart.data.scan import Scanned, scan
from headstart.model import Indices, Model
from headstart.tasks.head import Head
from headstart.tasks.task import Matrix, Task

if TYPE_CHECKING:
    from headstart.detection.detector import Detector
    from headstart.detection.maps import Maps

PREFIX = "detector."
"""Of the detector's tensors in a bundle."""


def no_head(task: Task) -> Head:
    """Return the linear head of a model that has none, for its detector answers already."""
    return Head(np.zeros((task.n_outputs, 0), np.float32), np.zeros(task.n_outputs, np.float32))


@dataclass(frozen=True)
class Finder(Model):
    """A model whose answers are boxes.

    Attributes:
        spec: what the detector is made of, as JSON.
        detector: the trained one; None where its weights lie in ``weights``.
        weights: the safetensors file of a bundle.
    """

    spec: dict[str, Any] | None = None
    detector: Detector | None = None
    weights: Path | None = None

    @cached_property
    def networks(self) -> tuple[Maps, Detector]:
        """The backbone and the detector, in eval mode; read when first asked for."""
        from headstart.detection import maps

        if self.detector is not None:
            return cast("Maps", self.backbone), self.detector.eval()
        return maps.build(self.entries[0], seed=self.seed), self._loaded()

    def _loaded(self) -> Detector:
        from safetensors import safe_open

        from headstart.detection.detector import Detector, Spec

        made = Detector(Spec.of(self.spec or {}))
        with safe_open(str(self.weights), "pt") as file:
            names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118
            tensors = {name.removeprefix(PREFIX): file.get_tensor(name) for name in names}
        made.load_state_dict(tensors)
        return made.eval()

    # -- answers ----------------------------------------------------------------------------------

    def said(self, chunk: Dataset, device: str) -> Iterator[dict[str, Any]]:
        """Yield ``{boxes}`` or ``{error}`` for each item; boxes are in pixels of the picture."""
        seen = list(scan(chunk))
        good = np.array([one.index for one in seen if not one.fault], np.int64)
        outputs = self.outputs(chunk, good, device=device)
        answers = iter(self.task.answers(outputs))
        for one in seen:
            yield {"error": one.fault} if one.fault else _in_pixels(next(answers), one)

    def attempt(
        self, dataset: Dataset, *, device: str = "cpu"
    ) -> tuple[dict[int, str], Indices, Matrix]:
        """Return the faults by index, the indices of the other items, and their outputs."""
        faults = {one.index: one.fault for one in scan(dataset) if one.fault}
        good = np.setdiff1d(np.arange(len(dataset)), list(faults)).astype(np.int64)
        return faults, good, self.outputs(dataset, good, device=device)

    def outputs(
        self,
        dataset: Dataset,
        indices: Indices,
        *,
        features: Features | None = None,
        device: str = "cpu",
    ) -> Matrix:
        """Return what is found on usable pictures, see `headstart.tasks.boxes`."""
        if not len(indices):
            return np.empty((0, self.task.n_outputs), np.float32)
        from headstart.boundary import forward
        from headstart.boundary.inputs import Inputs

        backbone, detector = self.networks
        inputs = Inputs(dataset, self.entries[0].preprocess)
        return forward.features(backbone, inputs, indices, device, detector.to(device))

    # -- saving -----------------------------------------------------------------------------------

    def more(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return the detector's tensors, and what it is made of."""
        _, detector = self.networks
        state = detector.to("cpu").state_dict()
        tensors = {f"{PREFIX}{name}": tensor.numpy() for name, tensor in state.items()}
        return tensors, {"detector": self.spec}


def restored(entry: Entry, task: Task, facts: dict[str, Any], weights: Path) -> Finder:
    """Return the model that a bundle holds; no network is built yet."""
    head, seed = no_head(task), int(facts.get("seed", 0))
    return Finder((entry,), head, task, seed, spec=facts["detector"], weights=weights)


def _in_pixels(answer: dict[str, Any], one: Scanned) -> dict[str, Any]:
    longer = max(one.width, one.height)
    sides = (one.width, one.height, one.width, one.height)
    boxes = [
        box
        | {
            "box": [
                round(min(max(end * longer, 0.0), side), 2)
                for end, side in zip(box["box"], sides, strict=True)
            ]
        }
        for box in answer["boxes"]
    ]
    return answer | {"boxes": boxes, "width": one.width, "height": one.height}
