"""A fixed list of fits, through the doors alone: a digest of each one's weights and answers.

    python benchmarks/same_weights.py > before.txt       # ... change the code ...
    python benchmarks/same_weights.py > after.txt && diff before.txt after.txt

A change that should not change any weight must print the same lines, on the same machine, with
the same libraries and number of threads. ``--only partial`` runs the lines that hold a word.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image

from places import WEIGHTS

os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))

STEPS = ["scratch", "warm", "discriminative", "partial:2", "partial:-1", "first:2", "gradual"]
STEPS += ["lp-ft", "l2-sp", "auto-freeze", "bitfit", "adapt-refit"]
HEADS = ["logistic", "svm", "ridge", "centroid", "bayes", "lda"]
FAMILIES = [
    *("torchvision:resnet18", "torchvision:mobilenet_v3_small", "torchvision:vgg11"),
    *("torchvision:densenet121", "torchvision:vit_b_32", "torchvision:squeezenet1_0"),
    *("timm:resnet18", "timm:vit_tiny_patch16_224", "timm:convnext_atto", "timm:vgg11"),
    *("timm:mobilenetv3_small_050", "timm:efficientnet_b0", "timm:regnetx_002"),
]


def digits(root: Path) -> Path:
    """Write 300 handwritten digits as PNGs in class folders, 20 a class to train on."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for c in range(10):
        for n, at in enumerate(np.flatnonzero(found.target == c)[:30]):
            folder = root / ("train" if n < 20 else "val") / f"digit {c}"
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray((found.images[at] * 17).clip(0, 255).astype(np.uint8))
            picture.save(folder / f"{at}.png")
    return root


def colours(root: Path) -> Path:
    """Write 48 noisy pictures of two colours, 96 pixels a side."""
    for c in range(2):
        rng = np.random.default_rng(c)
        (root / f"colour {c}").mkdir(parents=True)
        for n in range(24):
            noise = rng.integers(-60, 60, (96, 96, 3)) + [[[90 + 70 * c, 120, 160 - 70 * c]]]
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(
                root / f"colour {c}" / f"{n}.png"
            )
    return root


def sentences(path: Path, per_class: int = 24) -> Path:
    """Write short English texts about three things as a table."""
    rng = np.random.default_rng(0)
    words = ["good bad old new long", "ball team goal match win", "bank share price market rise"]
    lines = ["text,label"]
    for n in range(3 * per_class):
        own, common = words[n % 3].split(), "the a of in and to is was on for".split()  # noqa: SIM905
        chosen = [*rng.choice(own, 2), *rng.choice(common, int(rng.integers(3, 9)))]
        lines.append(f"{' '.join(rng.permutation(chosen))} {n},topic {n % 3}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fits(work: Path) -> list[tuple[str, list[str], Path]]:
    """Return (name, options of fit, data) of each line."""
    pictures, texts, big = (
        digits(work / "digits"),
        sentences(work / "texts.csv"),
        colours(work / "colours"),
    )
    out = [
        *((f"pictures frozen {h}", ["--head", h], pictures) for h in HEADS),
        *((f"pictures {s}", ["--strategy", s, "--epochs", "6"], pictures) for s in STEPS),
        ("pictures warm augmented", ["--strategy", "warm", "--augment", "light"], pictures),
        (
            "pictures partial augmented",
            ["--strategy", "partial:-2", "--augment", "strong", "--views", "2", "--epochs", "4"],
            pictures,
        ),
        (
            "pictures sgd and all",
            [
                "--strategy",
                "warm",
                "--optimiser",
                "sgd",
                "--decay",
                "0.8",
                "--smoothing",
                "0.1",
                "--class-weights",
                "--soup",
                "3",
                "--epochs",
                "6",
                "--batch",
                "16",
            ],
            pictures,
        ),
        ("pictures shots", ["--strategy", "lp-ft", "--shots", "8", "--seed", "3"], pictures),
        *(
            (
                f"pictures uncached {s}",
                ["--strategy", s, "--epochs", "3", "--cache-limit", "0"],
                pictures,
            )
            for s in ("partial:2", "gradual", "auto-freeze")
        ),
    ]
    with_texts = ["--max-length", "24"]
    encoders = ["frozen", *STEPS[1:], "lora", "contrastive"]
    out += [
        (
            f"texts {s}",
            ["--strategy", s, *with_texts, *([] if s == "frozen" else ["--epochs", "2"])],
            texts,
        )
        for s in encoders
    ]
    out += [
        (
            f"texts uncached {s}",
            ["--strategy", s, "--epochs", "2", "--cache-limit", "0", *with_texts],
            texts,
        )
        for s in ("partial:-2",)
    ]
    out += [
        (f"texts {b} {s}", ["--backbone", b, "--strategy", s, "--epochs", "2"], texts)
        for b in ("bilstm", "bigru", "textcnn", "transformer")
        for s in ("scratch", "partial:1")
    ]
    small = ["--image-size", "64", "--epochs", "1", "--batch", "16"]
    out += [
        (
            f"family {b} partial:{k}",
            [
                "--backbone",
                f"random:{b}",
                "--strategy",
                f"partial:{k}",
                *(small if "vit" not in b else small[2:]),
            ],
            big,
        )
        for b in FAMILIES
        for k in (2, -2)
    ]
    if (WEIGHTS / "mobilenet_v2.safetensors").exists():
        for s in ("frozen", "warm", "partial:5", "partial:-3", "gradual"):
            steps = [] if s == "frozen" else small[2:]
            out.append(
                (
                    f"mobilenet_v2 {s}",
                    ["--backbone", "mobilenet_v2", "--strategy", s, "--image-size", "96", *steps],
                    big,
                )
            )
        joined = ["--backbone", "mobilenet_v2+mobilenetv1_100", "--strategy", "frozen"]
        out.append(("mobilenet_v2+mobilenetv1_100 frozen", joined, big))
    return out


def run(arguments: list[str]) -> dict:
    """Run one command of headstart in this process; return what ``--json`` prints."""
    from headstart.cli import app

    heard, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(said):
        try:
            app([*arguments, "--json"], prog_name="headstart")
        except SystemExit as end:
            if end.code:
                raise RuntimeError(said.getvalue().strip()[-500:]) from None
    return json.loads(heard.getvalue())


def digest_of(bundle: Path, accuracy: float) -> str:
    """Return a digest of a bundle's weights, and of its temperature and figure."""
    from safetensors.numpy import load_file

    state = hashlib.blake2b(digest_size=8)
    tensors = load_file(bundle / "model.safetensors")
    for name in sorted(tensors):
        if name.startswith(("head.", "backbone.")):
            value = np.ascontiguousarray(tensors[name])
            state.update(f"{name} {value.shape} {value.dtype}".encode() + value.tobytes())
    state.update(repr(json.loads((bundle / "bundle.json").read_text())["temperature"]).encode())
    return f"{state.hexdigest()} {accuracy:.4f}"


def answers_of(bundle: Path, items: list[str]) -> str:
    """Return a digest of a bundle's answers, rounded to what two engines agree on."""
    rows = run(["predict", str(bundle), *items])["predictions"]
    text = json.dumps([[r["label"], round(r["probability"], 3)] for r in rows])
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def line(name: str, options: list[str], data: Path, work: Path) -> str:
    """Return the line of one fit."""
    out = work / f"out.{abs(hash(name))}"
    result = run(["fit", str(data), *options, "--out", str(out), "--device", "cpu"])
    items = ["ball team goal in the end", "market price"]
    if data.is_dir():
        items = [str(p) for p in sorted(data.rglob("*.png"))[::37]]
    return f"{digest_of(out, result['accuracy'])} {answers_of(out, items)}"


def resumed(options: list[str], data: Path, work: Path) -> str:
    """Return the line of a fit that is killed after its first checkpoint, and resumed."""
    out = work / "out.resumed"
    command = [
        sys.executable,
        "-m",
        "headstart",
        "fit",
        str(data),
        *options,
        "--out",
        str(out),
        "--device",
        "cpu",
        "--json",
        "--checkpoint-every",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob("checkpoints/checkpoint-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    return digest_of(out, json.loads(done.stdout)["accuracy"])


def arrays(strategy: str) -> str:
    """Return the line of an estimator on arrays."""
    from sklearn.datasets import load_digits

    import headstart

    found = load_digits()
    epochs = None if strategy == "frozen" else 3  # which frozen does not read, and refuses
    model = headstart.TransferClassifier(strategy=strategy, epochs=epochs, device="cpu")
    model.fit(found.images[:250], found.target[:250])
    chances = model.predict_proba(found.images[250:400])
    return hashlib.blake2b(chances.round(6).tobytes(), digest_size=8).hexdigest()


def main() -> None:
    """Print one line a fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    wanted = parser.parse_args().only

    def say(name: str, made: object) -> None:
        try:
            print(f"{name}: {made()}", flush=True)  # type: ignore[operator]
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["HEADSTART_HOME"] = str(work / "home")
        for name, options, data in fits(work):
            if wanted in name:
                say(name, lambda n=name, o=options, d=data: line(n, o, d, work))
        for data, options in (
            (work / "digits", ["--strategy", "gradual", "--epochs", "4"]),
            (work / "texts.csv", ["--strategy", "partial:-2", "--epochs", "3"]),
        ):
            name = f"resumed {options[1]} {data.name}"
            if wanted in name:
                say(name, lambda o=options, d=data: resumed(o, d, work))
        for strategy in ("frozen", "warm", "partial:-2", "lp-ft"):
            if wanted in f"arrays {strategy}":
                say(f"arrays {strategy}", lambda s=strategy: arrays(s))


if __name__ == "__main__":
    main()
