"""What is kept on disk: saving that is killed, bits that flip, disks that are full."""

# ruff: noqa: B023 - what is defined in a loop is called before its next turn

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from adversary.mutations import flipped
from conftest import save_bars, save_encoder, sentences
from headstart import store
from mischief.counting import Counts, say, tried


def kills(folder: Path) -> None:
    """Kill saving at 200 points: the old bundle stays, or the new one is there, or none was."""
    from adversary.test_saving import killed_at

    counts: Counts = Counter()
    for _, over, ended, what in killed_at(folder, 100):
        found, rest = what.split(" again=")
        whole = ("found=[0]", "found=[1]" if over == "old" else "found=[]")
        good = rest == "0 left=[]" and found in whole
        counts[f"{ended}, whole or nothing, and goes on" if good else "DEAD END"] += 1
    say("saving killed", counts)


def flips(folder: Path) -> None:
    """Flip bits in every file that is kept: in the cache, in bundles, comparisons, checkpoints."""
    for name, scene in SCENES.items():
        counts: Counts = Counter()
        place = folder / name
        place.mkdir()
        os.environ["HEADSTART_HOME"] = str(place / "home")
        again, kept = scene(place)
        whole = folder / "whole"
        files = sorted(one.relative_to(place) for root in kept for one in _files(place / root))
        kinds = sorted({"/".join(_kind(part) for part in path.parts[:-1]) for path in files})
        shutil.copytree(place, whole)
        expected = again()
        for path in files:
            for seed in range(3):
                shutil.rmtree(place)
                shutil.copytree(whole, place)
                if path.suffix == ".onnx":  # nobody asks the graph for what is kept
                    shutil.rmtree(place / "home" / "features", ignore_errors=True)
                content = (place / path).read_bytes()
                (place / path).write_bytes(flipped(content, random.Random(seed)))
                store._CHECKED.clear()  # as in a process of its own
                before = counts["WRONG"]
                tried(counts, lambda: "the same" if again() == expected else "WRONG")
                if counts["WRONG"] > before:
                    print(f"    {path}, seed {seed}", flush=True)
        shutil.rmtree(whole)
        say(f"flipped bits, {name} ({len(files)} files in {', '.join(kinds)})", +counts)


def _files(root: Path) -> Iterator[Path]:
    for path in [root, *root.rglob("*")] if root.exists() else ():
        # What is for people alone is not read again.
        if path.is_file() and path.stat().st_size and path.name not in SHOWN:
            yield path


SHOWN = ("report.html", "skipped.csv", "runs.csv", "curves.png")
"""Pages, tables and pictures for people."""


def _kind(part: str) -> str:
    """Return the name of a folder without what tells it from its like."""
    return "..." if len(part) >= 16 or part.startswith(("shape-", "width-")) else part


Scene = tuple[Callable[[], Any], list[str]]
"""What is to come out the same, and the folders whose files are damaged in between."""


def _done_once(again: Callable[[], Any], kept: str) -> Scene:
    again()
    return again, [kept]


def _pictures(place: Path) -> Path:
    return save_bars(place / "data", 6)


def _outputs(fitted: headstart.Fit) -> Any:
    found = fitted.model.outputs(fitted.dataset, np.arange(len(fitted.dataset)))
    return found.round(4).tolist()


def _fits(**how: Any) -> Callable[[Path], Scene]:
    def scene(place: Path) -> Scene:
        data = _pictures(place)
        return _done_once(lambda: _outputs(headstart.fit(data, out=place / "out", **how)), "home")

    return scene


def _texts(place: Path) -> Scene:
    """An encoder whose weights are no safetensors, so that they are converted and kept."""
    import torch
    from safetensors.torch import load_file

    said = [sentences(4).content(i).decode() for i in range(8)]
    encoder = save_encoder(place / "encoder", said)
    torch.save(load_file(encoder / "model.safetensors"), encoder / "pytorch_model.bin")
    (encoder / "model.safetensors").unlink()
    return _done_once(lambda: _outputs(headstart.fit(sentences(4), backbone=str(encoder))), "home")


def _statistics(place: Path) -> Scene:
    from headstart.adaptation.statistics import own_statistics
    from headstart.backbones.registry import resolve
    from headstart.data.audit import audit

    data = audit(headstart.read(_pictures(place))).dataset

    def again() -> Any:
        entry = own_statistics(resolve("glyphs"), data, np.arange(len(data)))
        return entry and entry.weights and store.file_digest(entry.weights)

    return _done_once(again, "home/adapted")


def _bundle(place: Path) -> Scene:
    data = _pictures(place)
    headstart.fit(data, out=place / "out")

    def again() -> Any:
        found = headstart.evaluate(place / "out", data)
        headstart.show(place / "out", "errors", out=place / "shown.png")
        return found.to_json()

    return again, ["out", "home/bundles"]


def _comparison(place: Path) -> Scene:
    data = _pictures(place)
    how: dict[str, Any] = {"strategies": ("frozen",), "draws": 2, "out": place / "out"}
    headstart.compare(data, **how)

    def again() -> Any:
        found = headstart.compare(data, resume=True, **how)
        return [(run.draw, run.scores.tolist()) for run in found.runs]

    return again, ["out"]


def _checkpoints(place: Path) -> Scene:
    """A run that was stopped after its second checkpoint."""
    from headstart.training.checkpoint import Checkpoints

    data, real, saves = _pictures(place), Checkpoints.save, []
    how: dict[str, Any] = {"strategy": "partial:-1", "epochs": 4, "checkpoint_every": 0}

    def stopped(self: Checkpoints, *given: Any) -> None:
        real(self, *given)
        saves.append(1)
        if len(saves) == 3:
            raise KeyboardInterrupt

    Checkpoints.save = stopped  # type: ignore[method-assign]
    try:
        headstart.fit(data, out=place / "out", **how)
    except KeyboardInterrupt:
        pass
    finally:
        Checkpoints.save = real  # type: ignore[method-assign]
    return lambda: _outputs(headstart.fit(data, out=place / "out", resume=True, **how)), ["out"]


def _backbone(place: Path) -> Scene:
    from headstart.verbs import pretrain

    data = _pictures(place)
    pretrain.supervised(data, out=place / "weights", name="mine", epochs=1)
    os.environ["HEADSTART_WEIGHTS"] = str(place / "weights")
    return lambda: _outputs(headstart.fit(data, backbone="mine")), ["weights"]


SCENES: dict[str, Callable[[Path], Scene]] = {
    "a frozen fit": _fits(),
    "a fit by steps": _fits(strategy="partial:-1", epochs=1),
    "texts": _texts,
    "a domain's statistics": _statistics,
    "a bundle": _bundle,
    "a comparison": _comparison,
    "checkpoints": _checkpoints,
    "a backbone of one's own": _backbone,
}


def disks(folder: Path) -> None:
    """Six commands, each on a disk that is full from its nth write on, for every n."""
    from adversary.test_full_disks import filled

    counts: dict[str, Counts] = {}
    for line in filled(folder, 1):
        name, _, ended = line.split(maxsplit=2)
        counts.setdefault(name, Counter())[ended] += 1
    for name, one in counts.items():
        say(f"{name} on a disk that is full from its nth write on", one)
