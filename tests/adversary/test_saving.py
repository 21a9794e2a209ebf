"""A kill at any point of saving, a second run beside it, and folders that cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from contextvars import Context
from pathlib import Path

import numpy as np
import pytest
import torch

import headstart
from conftest import bars, sentences
from headstart import bundle, place
from headstart.errors import BundleError
from headstart.settings.groups import Options

HERE = Path(__file__).parent


def killed_at(folder: Path, points: int) -> list[list[str]]:
    """Return what became of each try: [point, over what, how it ended, ...]."""
    done = subprocess.run(
        [sys.executable, str(HERE / "saving.py"), str(folder), str(points)],
        env=os.environ | {"PYTHONPATH": f"{HERE.parent}{os.pathsep}{place_of_source()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split(maxsplit=3) for line in done.stdout.splitlines()]


def place_of_source() -> str:
    return str(Path(headstart.__file__).parents[1])


@pytest.mark.slow
def test_a_kill_at_any_point_leaves_the_old_bundle_the_new_one_or_none(tmp_path: Path) -> None:
    tries = killed_at(tmp_path, 100)
    assert len(tries) == 200
    killed = [(over, what.split()[0]) for _, over, how, what in tries if how == "killed"]
    assert len(killed) >= 190, "they end in the middle"
    both = {("new", "found=[]"), ("new", "found=[0]"), ("old", "found=[1]"), ("old", "found=[0]")}
    assert set(killed) == both, "before it counts, and after"
    for _, over, _, what in tries:
        found, rest = what.split(" again=")
        assert rest == "0 left=[]"
        assert found in ("found=[0]", "found=[1]" if over == "old" else "found=[]")


def test_what_was_written_whole_comes_to_its_place(tmp_path: Path, glyph_graph: Path) -> None:
    out = tmp_path / "out"
    headstart.fit(bars(6), out=out)
    (out / "mine.txt").write_text("a note of the user's")
    done = out / place.DONE
    done.mkdir()
    headstart.fit(bars(6), seed=3, out=tmp_path / "new")
    for path in (tmp_path / "new").iterdir():
        path.rename(done / path.name)
    (out / "model.safetensors").unlink()
    assert bundle.load(out).facts["seed"] == 3
    assert not done.exists() and (out / "mine.txt").exists()


def test_a_model_of_pictures_takes_the_place_of_one_of_texts(
    tmp_path: Path, glyph_graph: Path
) -> None:
    out = tmp_path / "out"
    how = {"backbone": "bilstm", "strategy": "scratch", "epochs": 1, "min_frequency": 1}
    headstart.fit(sentences(6), out=out, **how)
    headstart.fit(bars(6), out=out)
    assert bundle.load(out).kind == "image"
    headstart.fit(sentences(6), out=out, **how)
    assert bundle.load(out).kind == "text"


def test_leftovers_of_a_kill_are_known_and_removed(tmp_path: Path, glyph_graph: Path) -> None:
    out = tmp_path / "out"
    (out / ".saving-0123").mkdir(parents=True)
    (out / ".saving-0123" / "model.safetensors").write_bytes(b"half")
    (out / ".probe-0123").touch()
    headstart.fit(bars(6), out=out)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_two_runs_into_one_folder(tmp_path: Path, glyph_graph: Path) -> None:
    out = tmp_path / "out"
    with place.claimed(out), pytest.raises(BundleError, match="another run is writing to"):
        Context().run(headstart.fit, bars(6), out=out)  # as in another process
    assert not out.exists(), "nothing was put there"
    headstart.fit(bars(6), out=out)  # the claim went with its process, or its block


def test_where_nothing_can_be_written_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BundleError, match=r"nothing can be written to .*No space left"):
        headstart.fit("/no/such/data", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_little_room_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**5}))
    with pytest.raises(BundleError, match=r"MB are needed, and 0.1 MB are free"):
        headstart.fit(bars(6), out=tmp_path / "out")


@pytest.mark.parametrize("name", ["checkpoints", "tokenizer", "model.safetensors", ".saved"])
def test_links_are_not_followed(tmp_path: Path, name: str, glyph_graph: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    headstart.fit(bars(6), out=out)
    other.mkdir()
    (other / "checkpoint-000001.safetensors").write_text("of somebody else")
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(other)
    with pytest.raises(BundleError, match="is a link"):
        headstart.fit(bars(6), strategy="partial:-1", options=Options(epochs=1), out=out)
    assert [path.name for path in other.iterdir()] == ["checkpoint-000001.safetensors"]


def test_a_model_gone_astray_is_not_saved(tmp_path: Path) -> None:
    how = Options(body_rate=1e6, head_rate=1e6, epochs=3, batch=4, optimiser="sgd")
    with pytest.raises(headstart.errors.HeadstartError, match=r"not finite|no number|loss is"):
        headstart.fit(bars(8), strategy="warm", options=how, out=tmp_path / "out")
    assert not (tmp_path / "out" / "bundle.json").exists()


def test_numbers_that_are_none_are_not_saved(tmp_path: Path, glyph_graph: Path) -> None:
    fitted = headstart.fit(bars(6))
    fitted.model.head.weight[0, 0] = np.nan
    with pytest.raises(BundleError, match="not finite, in head.weight"):
        fitted.save(tmp_path / "out")
    assert not list(tmp_path.iterdir()), "nothing was left"


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_a_bound_that_cuts_nothing_off_is_saved(tmp_path: Path, value: float) -> None:
    found = headstart.fit(bars(6), strategy="partial:-1", options=Options(epochs=1))
    assert found.model.backbone is not None
    found.model.backbone.net.register_buffer("least", torch.tensor(value))
    if np.isnan(value):
        with pytest.raises(BundleError, match="not finite, in backbone.0.least"):
            found.save(tmp_path / "out")
    else:
        found.save(tmp_path / "out")
        assert dict(bundle.load(tmp_path / "out").tensors)["backbone.0.least"] == value


def test_a_file_with_numbers_that_are_none_is_refused(tmp_path: Path, glyph_graph: Path) -> None:
    from test_bundle import change_weights

    out = tmp_path / "out"
    headstart.fit(bars(6), out=out)
    tensors = dict(bundle.load(out).tensors)
    deep = next(k for k, v in tensors.items() if k.startswith("backbone") and v.ndim > 1)
    for name in ("head.weight", deep):
        broken = tensors[name].copy()
        broken.flat[0] = np.nan
        change_weights(out, **{name: broken})
        with pytest.raises(BundleError, match="not finite"):
            bundle.load(out)
        change_weights(out, **{name: tensors[name]})
