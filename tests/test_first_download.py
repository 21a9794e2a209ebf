"""The first download, through the real clients and a hub on the loopback."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stub_hub import Hub, serving

MB = 1 << 20


def static_files(root: Path, megabytes: int = 24) -> dict[str, bytes]:
    """Return the files of a static encoder with so large a table."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    root.mkdir()
    rows = megabytes * MB // 256
    words = {f"w{i}": i for i in range(rows - 2)}
    made = Tokenizer(models.WordLevel({"[PAD]": rows - 2, "[UNK]": rows - 1, **words}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(root / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(rows, 64)).astype(np.float32)
    save_file({"embeddings": table}, root / "model.safetensors")
    (root / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    return {path.name: path.read_bytes() for path in root.iterdir()}


def fetching(hub: Hub, root: Path, name: str, code: str = "") -> subprocess.Popen[str]:
    places = {"HF_ENDPOINT": hub.url, "HF_HOME": str(root / "hf"), "TORCH_HOME": str(root / "t")}
    run = f"import sys\n{code}\nfrom headstart.cli import main\nsys.argv[1:] = ['fetch', {name!r}]"
    return subprocess.Popen(
        [sys.executable, "-c", f"{run}\nmain()"],
        env=os.environ | places | {"HEADSTART_HOME": str(root / "home"), "HF_HUB_DISABLE_XET": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_cut_off_at_five_places_and_resumed(tmp_path: Path) -> None:
    files = static_files(tmp_path / "made")
    hub = Hub({"me/static": files})
    cuts = [1000, 11 * MB, 13 * MB, 21 * MB, len(files["model.safetensors"]) - 1]
    hub.cuts = {"model.safetensors": list(cuts)}
    with serving(hub):
        done = fetching(hub, tmp_path, "hf:me/static")
        out, err = done.communicate(timeout=100)
    assert done.returncode == 0, err
    assert hub.cuts == {"model.safetensors": []}, "each of them was met"
    assert "hf:me/static is here" in out and "%|" in err, "progress is shown"
    ranges = [asked for _, path, asked in hub.asked if path.endswith("safetensors") and asked]
    assert ranges, "it went on from what was there"
    kept = Path(out.split(" is here: ")[1].split(" (licence")[0])
    assert kept.read_bytes() == files["model.safetensors"]


@pytest.mark.slow
def test_killed_and_run_again(tmp_path: Path) -> None:
    files = static_files(tmp_path / "made")
    hub = Hub({"me/static": files})
    hub.on.clear()
    with serving(hub):
        first = fetching(hub, tmp_path, "hf:me/static")
        assert hub.begun.wait(100)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        hub.on.set()
        again = fetching(hub, tmp_path, "hf:me/static")
        out, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    kept = Path(out.split(" is here: ")[1].split(" (licence")[0])
    assert kept.read_bytes() == files["model.safetensors"]


TIMM = pytest.param("timm:test_resnet.r160_in1k", marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hf:me/static", TIMM])
def test_another_digest_is_refused(name: str, tmp_path: Path) -> None:
    files = static_files(tmp_path / "made", 1)
    if name.startswith("timm:"):
        files = timm_files(tmp_path, name)
    hub = Hub({"me/static": files, "timm/test_resnet.r160_in1k": files}, lie=True)
    with serving(hub):
        done = fetching(hub, tmp_path, name)
        out, err = done.communicate(timeout=100)
        assert (done.returncode, out) == (1, "")
        assert "the hub states" in err and "Traceback" not in err
        hub.lie = False
        done = fetching(hub, tmp_path, name)
        out, err = done.communicate(timeout=100)
    assert done.returncode == 0, err


def timm_files(root: Path, name: str) -> dict[str, bytes]:
    import timm
    from safetensors.torch import save_file as save_tensors

    net = timm.create_model(name.removeprefix("timm:"), pretrained=False)
    save_tensors(net.state_dict(), root / "timm.safetensors")
    return {"model.safetensors": (root / "timm.safetensors").read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize("right", [pytest.param(True, marks=pytest.mark.slow), False])
def test_torchvisions_weights(right: bool, tmp_path: Path) -> None:
    import torch
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.get_model("squeezenet1_1", weights=None)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    digest = hashlib.sha256(content if right else b"another").hexdigest()[:8]
    hub = Hub({"plain": {f"squeezenet1_1-{digest}.pth": content}})
    with serving(hub):
        url = f"{hub.url}/squeezenet1_1-{digest}.pth"
        code = (
            "import torchvision\n"
            "found = torchvision.models.get_model_weights('squeezenet1_1').DEFAULT.value\n"
            f"object.__setattr__(found, 'url', {url!r})"
        )
        done = fetching(hub, tmp_path, "torchvision:squeezenet1_1", code)
        out, err = done.communicate(timeout=100)
    assert (done.returncode == 0) is right, err
    assert "Traceback" not in err
    assert ("is here" in out) is right and ("invalid hash value" in err) is not right


@pytest.mark.parametrize("name", ["hf:me/static", TIMM])
def test_no_route_is_one_clear_error(name: str, tmp_path: Path) -> None:
    hub = Hub({}, url="http://127.0.0.1:9")
    done = fetching(hub, tmp_path, name)
    out, err = done.communicate(timeout=100)
    assert (done.returncode, out) == (1, "")
    assert err.count("headstart: ") == 1 and "Traceback" not in err
    assert "127.0.0.1:9" in err
    assert "Retrying" not in err, "nobody waits for what cannot come"


@pytest.mark.slow
def test_what_is_here_needs_no_route(tmp_path: Path) -> None:
    files = static_files(tmp_path / "made", 1)
    with serving(Hub({"me/static": files})) as hub:
        _, first = fetching(hub, tmp_path, "hf:me/static").communicate(timeout=100)
    done = fetching(Hub({}, url="http://127.0.0.1:9"), tmp_path, "hf:me/static")
    out, err = done.communicate(timeout=100)
    assert done.returncode == 0 and "hf:me/static is here" in out, first + err
    assert "Retrying" not in err
