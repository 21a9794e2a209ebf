"""Ways to break it, counted: pictures, tables, bundles, encoders, kills, full disks, memory.

    python benchmarks/mischief.py [photos rubbish tables bundles encoders kills flips disks ...]

Each line says how many tries there were and how they ended. What must not happen: a traceback, a
hang of more than ten seconds, a wrong answer without a word, a byte read or written outside of what
was given, foreign code, and a state from which the same command does not go on.
"""

# ruff: noqa: B023 - what is defined in a loop is called before its next turn

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import headstart  # noqa: E402
from adversary.damages import KINDS, jpeg, photo, saved  # noqa: E402
from conftest import bars, save_bars, save_encoder, sentences  # noqa: E402
from headstart import bundle, store  # noqa: E402
from headstart.data.pictures.images import examine  # noqa: E402
from headstart.data.reading import read, read_items  # noqa: E402
from headstart.errors import HeadstartError  # noqa: E402
from places import DATA  # noqa: E402

HANG = 10


class HangError(BaseException):
    pass


@contextmanager
def limited() -> Iterator[None]:
    """Raise `HangError` after ten seconds of processor time: other work may run beside."""

    def late(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def tried(counts: Counter[str], do: Callable[[], str]) -> None:
    """Count how ``do`` ends: what it returns, refused, a traceback, a hang."""
    try:
        with limited():
            counts[do()] += 1
    except HangError:
        counts["HANG"] += 1
    except HeadstartError:
        counts["refused"] += 1
    except (OSError, MemoryError) as error:  # which the command line says in one line
        counts[f"refused ({type(error).__name__})"] += 1
    except Exception as error:
        counts["TRACEBACK"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"    {type(error).__name__}: {error} at {where.filename}:{where.lineno}", flush=True)


def say(what: str, counts: Counter[str]) -> None:
    print(f"{what}: {counts.total()} tries: {dict(counts)}", flush=True)


# -- pictures -------------------------------------------------------------------------------------


def real_photos(n: int) -> list[Image.Image]:
    paths = sorted((DATA / "hymenoptera").rglob("*.jpg")) + sorted(
        (DATA / "cats_dogs").rglob("*.jpg")
    )
    found = []
    for path in random.Random(0).sample(paths, min(len(paths), 4 * n)):
        with Image.open(path) as picture:
            if min(picture.size) >= 100:
                found.append(picture.convert("RGB"))
    return (found or [photo(seed) for seed in range(n)])[:n]


def pixels(content: bytes) -> np.ndarray:
    found = examine(content, 112).image
    assert isinstance(found, Image.Image)
    return np.asarray(found.convert("RGB"), np.int16)


def photos() -> None:
    counts: Counter[str] = Counter()
    for name, damage in KINDS.items():
        before = counts.copy()
        for seed, picture in enumerate(real_photos(20)):
            content = damage(picture, np.random.default_rng(seed))
            form = content[:4]
            plain = saved(picture, "WEBP") if form == b"RIFF" else jpeg(picture)
            if form == b"GIF8":
                plain = saved(picture.convert("P"), "GIF")

            def judge(content: bytes = content, plain: bytes = plain) -> str:
                found, whole = pixels(content), pixels(plain)
                same = found.shape == whole.shape and np.abs(found - whole).mean() < 4
                return "harmless" if same else "WRONG"

            tried(counts, judge)
        new = counts - before
        if set(new) - {"refused", "harmless"}:
            print(f"    {name}: {dict(new)}", flush=True)
    say("damaged photos", counts)


def rubbish() -> None:
    """Rubbish in place of pictures: noise, headers alone, claims of any size, other files."""
    counts: Counter[str] = Counter()
    heads = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 "]
    heads += [
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"P6\n9 9\n255\n",
        b"\x93NUMPY\x01\0",
        b"%PDF",
        b"\0\0\0 ftypavif",
    ]
    heads += [b"\0\0\0\x0cjP  \r\n\x87\n", b"<svg>", b"PK\x03\x04", b"\xff\x4f\xff\x51"]
    whole = [
        saved(photo(0, 40), kind)
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    ]
    chance = np.random.default_rng(3)
    for number in range(721):
        if number % 2:
            head = heads[number // 2 % len(heads)]
            content = head + bytes(
                chance.integers(0, 256, int(chance.integers(0, 3000))).astype(np.uint8)
            )
        else:
            made = bytearray(whole[number // 2 % len(whole)])
            for at in chance.integers(0, min(len(made), 200), int(chance.integers(1, 9))):
                made[at] = int(chance.integers(256))
            content = bytes(made)
        tried(counts, lambda content=content: "read" if examine(content, 32) else "")
    say("rubbish pictures", counts)


# -- tables ---------------------------------------------------------------------------------------


def tables(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from adversary.test_hostile_tables import mutated

    counts: Counter[str] = Counter()
    rows = [(f"some text number {i} caf\u00e9", "ab"[i % 2]) for i in range(30)]
    plain = "text,label\n" + "".join(f"{t},{y}\n" for t, y in rows)
    pq.write_table(
        pa.table({"text": [t for t, _ in rows], "label": [y for _, y in rows]}),
        folder / "w.parquet",
    )
    metadata = {b"huggingface": b'{"info": {"features": {"label": {"names": [1, null]}}}}'}
    odd = pa.table({"text": [t for t, _ in rows], "label": pa.array([y.encode() for _, y in rows])})
    pq.write_table(odd.replace_schema_metadata(metadata), folder / "odd.parquet")
    whole = {
        "csv": plain.encode(),
        "tsv": plain.replace(",", "\t").encode(),
        "jsonl": "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows).encode(),
        "parquet": (folder / "w.parquet").read_bytes(),
    }
    whole["odd.parquet"] = (folder / "odd.parquet").read_bytes()
    for ending, content in whole.items():
        for seed in range(118):
            path = folder / f"{seed}.{ending}"
            path.write_bytes(mutated(content, np.random.default_rng([seed, len(content)])))

            def look(path: Path = path) -> str:
                found = read(path, label_column="label")
                for i in range(len(found)):
                    found.content(i)
                return "read"

            tried(counts, look)
            path.unlink()
    say("tables", counts)
    counts = Counter()
    for seed in range(40):  # no row to predict may be lost
        lines = plain.splitlines()
        chance = random.Random(seed)
        for _ in range(5):
            at = chance.randrange(1, len(lines))
            lines[at] = chance.choice([lines[at] + ",more", "short", "", '"open,' + lines[at]])
        path = folder / "p.csv"
        path.write_text("\n".join(lines) + "\n")
        quoted = any(line.startswith('"open') for line in lines)
        n = len(read_items(path, "text").names)
        counts["all rows answered" if quoted or n == len(lines) - 1 else "WRONG"] += 1
    say("ragged tables to predict", counts)


# -- bundles and encoders -------------------------------------------------------------------------


class Watch:
    """What is opened, connected to, executed or removed outside of the folders that may be."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in (
            "socket.connect",
            "socket.getaddrinfo",
            "os.system",
            "subprocess.Popen",
            "os.exec",
        ):
            self.seen.append(f"{event} {args[:2]}")
        if event in ("open", "os.remove", "os.rmdir", "os.rename", "shutil.rmtree") and args:
            path = (
                os.path.realpath(os.fsdecode(args[0])) if isinstance(args[0], str | bytes) else ""
            )
            if path and not path.startswith(self.allowed):
                self.seen.append(f"{event} {path}")

    @contextmanager
    def within(self, *folders: Path) -> Iterator[None]:
        usual = (
            sys.prefix,
            sys.base_prefix,
            str(HERE.parent),
            "/proc",
            "/sys",
            "/dev",
            "/usr",
            "/etc",
            "/lib",
        )
        self.allowed = tuple(map(os.path.realpath, folders)) + usual
        self.on = True
        try:
            yield
        finally:
            self.on = False


WATCH = Watch()

VALUES = [
    None,
    -1,
    0,
    1,
    10**9,
    1e308,
    -0.5,
    "",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    "hf-hub:a/b",
    "local-dir:/tmp",
    [],
    [[]],
    {},
    {"a": 1},
    True,
    [None],
    ["a"],
    "9" * 400,
    10**30,
    "\u202e",
]


def spots(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Yield the places in a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in items:
        yield (*path, key)
        yield from spots(one, (*path, key))


def changed(facts: dict, chance: random.Random) -> dict:
    made = json.loads(json.dumps(facts))
    for _ in range(chance.choice([1, 1, 1, 2])):
        *way, last = chance.choice(list(spots(made)) or [("format",)])
        at = made
        for key in way:
            at = at[key]
        if chance.random() < 0.15:
            del at[last]
        else:
            at[last] = chance.choice(VALUES)
    return made


def ask(folder: Path, items: list[object], expected: list[dict]) -> str:
    """Predict with the bundle in ``folder``; say whether the answers are what they were."""
    answers = bundle.load(folder).predict(items)
    json.dumps(answers, allow_nan=False)
    same = [a.get("label") for a in answers] == [e["label"] for e in expected]
    return "the same answers" if same else "other answers"


def bundles(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    data = save_bars(folder / "data", 6)
    texts = sentences(6)
    encoder = save_encoder(folder / "encoder", [texts.content(i).decode() for i in range(12)])
    pictures = [str(path) for path in sorted(data.rglob("*.png"))[:3]]
    said = [texts.content(i).decode() for i in range(3)]
    made = []
    for name, given, items, how in (
        ("frozen", data, pictures, {}),
        ("steps", data, pictures, {"strategy": "partial:-1", "epochs": 1}),
        ("texts", texts, said, {"backbone": str(encoder)}),
        (
            "words",
            texts,
            said,
            {"backbone": "bilstm", "strategy": "scratch", "epochs": 1, "min_frequency": 1},
        ),
    ):
        headstart.fit(given, out=folder / name, **how)
        made.append((folder / name, items, bundle.load(folder / name).predict(items)))
    raw, signed, tensors = Counter(), Counter(), Counter()
    with WATCH.within(folder, Path(os.environ["HEADSTART_HOME"])):
        for number in range(1000):
            chance = random.Random(number)
            source, items, expected = made[number % len(made)]
            broken = folder / "broken"
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(source, broken)
            how = number // len(made) % 4
            if how == 0:  # a byte anywhere
                path = chance.choice([p for p in sorted(broken.rglob("*")) if p.is_file()])
                content = bytearray(path.read_bytes())
                if content:
                    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                path.write_bytes(content)
                shown = path.name in ("report.html", "skipped.csv")
                counts = raw
            elif how == 3:
                path = broken / "model.safetensors"
                old = load_file(path)
                name = chance.choice(sorted(old) + ["head.weight", "head.bias"] * 3)
                options = [
                    old[name].ravel(),
                    old[name][:0],
                    old[name] * np.nan,
                    old[name].astype(np.float16),
                    np.zeros((3, 5), np.float32),
                    np.array(1.0, np.float32),
                    old[name][..., None],
                ]
                old[name] = np.ascontiguousarray(chance.choice(options))
                if chance.random() < 0.2:
                    del old[name]
                save_file(old, path)
                facts = json.loads((broken / "bundle.json").read_text())
                facts["weights"] = store.file_digest(path)
                facts["digest"] = bundle.whole_digest(facts)
                (broken / "bundle.json").write_text(json.dumps(facts))
                shown, counts = False, tensors
            else:  # as somebody would who knows how to sign it
                facts = changed(json.loads((broken / "bundle.json").read_text()), chance)
                facts["digest"] = bundle.whole_digest(facts)
                (broken / "bundle.json").write_text(json.dumps(facts))
                shown, counts = False, signed

            def do(items: list = items, expected: list = expected, counts: Counter = counts) -> str:
                found = ask(broken, items, expected)
                if number % 5 == 0:
                    for what in ("errors", "filters", "embedding"):
                        try:
                            headstart.show(broken, what, out=folder / "shown.png")
                        except HeadstartError:
                            continue
                return "WRONG" if counts is raw and found == "other answers" else found

            tried(counts, do)
            del shown
    say("bundles, a byte flipped", raw)
    say("bundles, facts changed and signed", signed)
    say("bundles, tensors changed and signed", tensors)
    print(f"read, written or asked outside: {len(WATCH.seen)} {WATCH.seen[:3]}", flush=True)


def encoders(folder: Path) -> None:
    texts = sentences(4)
    words = [texts.content(i).decode() for i in range(8)]
    whole = save_encoder(folder / "whole", words)
    (whole / "modules.json").write_text(
        json.dumps(
            [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
        )
    )
    (whole / "1_Pooling").mkdir()
    (whole / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (whole / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}))
    mark = folder / "ran"
    evil = f"open({str(mark)!r}, 'w').write('code')\nclass A: pass\n"
    counts: Counter[str] = Counter()
    WATCH.seen.clear()
    sys.stdin = io.StringIO("y\n" * 100)
    for number in range(100):
        chance = random.Random(number)
        broken = folder / f"broken{number}"
        shutil.copytree(whole, broken)
        name = chance.choice(
            [
                "config.json",
                "modules.json",
                "1_Pooling/config.json",
                "tokenizer.json",
                "sentence_bert_config.json",
                "model.safetensors",
                "code",
            ]
        )
        path = broken / name
        if name == "code":
            for file in ("config.json", "tokenizer_config.json"):
                old = json.loads((broken / file).read_text()) if (broken / file).exists() else {}
                maps = {
                    "AutoConfig": "evil.A",
                    "AutoModel": "evil.A",
                    "AutoTokenizer": ["evil.A", "evil.A"],
                }
                (broken / file).write_text(
                    json.dumps(old | {"auto_map": maps, "tokenizer_class": "A"})
                )
            (broken / "evil.py").write_text(evil)
            if chance.random() < 0.5:
                (broken / "tokenizer.json").rename(broken / "vocab.json")
        elif name == "model.safetensors":
            content = bytearray(path.read_bytes())
            for _ in range(3):
                content[chance.randrange(min(len(content), 3000))] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
        else:
            old = json.loads(path.read_text())
            made = changed(old if isinstance(old, dict) else {"": old}, chance)
            path.write_text(json.dumps(made if isinstance(old, dict) else made.get("", made)))

        def do(broken: Path = broken) -> str:
            with WATCH.within(folder, Path(os.environ["HEADSTART_HOME"])):
                headstart.fit(texts, backbone=str(broken))
            return "fitted"

        tried(counts, do)
    say("encoder folders", counts)
    print(
        f"foreign code run: {int(mark.exists())}; outside: {len(WATCH.seen)} {WATCH.seen[:3]}",
        flush=True,
    )
    counts = Counter()
    from headstart.backbones.registry import resolve

    asset = resolve("glyphs").weights
    assert asset is not None
    os.environ["HEADSTART_WEIGHTS"] = str(folder / "weights")
    for number in range(53):
        chance = random.Random(number)
        shutil.rmtree(folder / "weights", ignore_errors=True)
        (folder / "weights").mkdir()
        content, facts = (
            bytearray(asset.read_bytes()),
            json.loads(asset.with_suffix(".json").read_text()),
        )
        facts.pop("sha256")
        if number % 3:
            facts = changed(facts, chance)
        else:
            content[chance.randrange(2000)] ^= 1 << chance.randrange(8)
        (folder / "weights" / "mine.safetensors").write_bytes(content)
        (folder / "weights" / "mine.json").write_text(json.dumps(facts))

        def use() -> str:
            with WATCH.within(folder, Path(os.environ["HEADSTART_HOME"])):
                headstart.fit(bars(4), backbone="mine")
            return "fitted"

        tried(counts, use)
    say("weights files", counts)
    print(f"outside: {len(WATCH.seen)} {WATCH.seen[:3]}", flush=True)


# -- kills, flips, disks --------------------------------------------------------------------------


def kills(folder: Path) -> None:
    """Kill saving at 200 system calls, counted by strace where it is installed."""
    program = HERE.parent / "tests" / "adversary" / "saving.py"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent / "tests"), *sys.path])
    }
    line = [sys.executable, str(program), str(folder), "1", "101", "1"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    rows = [one.split(maxsplit=3) for one in done.stdout.splitlines()]
    counts: Counter[str] = Counter()
    for _, over, ended, what in rows:
        found, rest = what.split(" again=")
        good = rest == "0 left=[]" and found in (
            "found=[0]",
            "found=[1]" if over == "old" else "found=[]",
        )
        counts[f"{ended}, whole or nothing, and goes on" if good else "DEAD END"] += 1
    say("saving killed", counts)
    if done.returncode:
        print(done.stderr[-2000:])


def flips(folder: Path) -> None:
    counts: Counter[str] = Counter()
    data = save_bars(folder / "data", 6)
    home = Path(os.environ["HEADSTART_HOME"])
    encoder = save_encoder(folder / "encoder", [sentences(4).content(i).decode() for i in range(8)])
    for name, given, how in (
        ("frozen", data, {}),
        ("partial:-1", data, {"strategy": "partial:-1", "epochs": 1}),
        ("texts", sentences(4), {"backbone": str(encoder)}),
    ):
        shutil.rmtree(home, ignore_errors=True)

        def outputs(given: object = given, how: dict = how) -> np.ndarray:
            store._CHECKED.clear()
            fitted = headstart.fit(given, **how)
            return fitted.model.outputs(fitted.dataset, np.arange(len(fitted.dataset)))

        expected = outputs()
        for path in sorted(one for one in home.rglob("*") if one.is_file() and one.stat().st_size):
            for seed in range(3):
                if not path.exists():
                    continue
                content = bytearray(path.read_bytes())
                content[random.Random(seed).randrange(len(content))] ^= 1 << seed
                path.write_bytes(content)

                def do() -> str:
                    return (
                        "the same answers"
                        if np.allclose(outputs(), expected, atol=1e-6)
                        else "WRONG"
                    )

                tried(counts, do)
        del name
    say("flipped bits in kept files", counts)


def disks(folder: Path) -> None:
    """Run fit and predict with home, bundle and temporary files on a disk of so many kilobytes."""
    counts: Counter[str] = Counter()
    data = save_bars(folder / "data", 6)
    whole = folder / "whole"
    headstart.fit(data, out=whole)
    picture = str(next(iter(data.rglob("*.png"))))
    for size in (
        16,
        32,
        64,
        96,
        128,
        192,
        256,
        384,
        512,
        768,
        1024,
        1400,
        1600,
        1800,
        2000,
        2400,
        3000,
        4000,
    ):
        for where in ("home", "out", "both"):
            disk = folder / "disk"
            disk.mkdir(exist_ok=True)
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(disk)], check=True
            )
            try:
                home = disk / "home" if where != "out" else folder / f"home{size}{where}"
                out = disk / "out" if where != "home" else folder / f"out{size}{where}"
                environment = os.environ | {"HEADSTART_HOME": str(home)}
                for strategy in (
                    ["--strategy", "frozen"],
                    ["--strategy", "partial:-1", "--epochs", "2", "--checkpoint-every", "0"],
                ):
                    line = ["fit", str(data), "--out", str(out), "--json", *strategy]
                    counts[
                        ended(line, environment, out, whole if strategy[1] == "frozen" else None)
                    ] += 1
                line = ["predict", str(whole), picture, "--json"]
                counts[ended(line, environment, None, None)] += 1
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    say("full disks", counts)


def ended(line: list[str], environment: dict[str, str], out: Path | None, like: Path | None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headstart", *line],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "Traceback" in done.stderr:
        print(f"    {line[0]} {line[-3:]}: {done.stderr[-700:]}", flush=True)
        return "TRACEBACK"
    if done.returncode:
        dead = out is not None and (out / "bundle.json").exists() and not loads(out)
        return "DEAD END" if dead else "refused"
    if like and not np.array_equal(
        bundle.load(out).tensors["head.weight"], bundle.load(like).tensors["head.weight"]
    ):
        return "WRONG"
    return "done"


def loads(out: Path) -> bool:
    try:
        return bool(bundle.load(out).classes)
    except HeadstartError:
        return False


# -- memory and speed -----------------------------------------------------------------------------


def measured(line: list[str]) -> tuple[float, float, int]:
    """Return seconds, peak resident MB and exit code of a command of its own process."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "headstart", *line], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def memory(folder: Path) -> None:
    row = "{:44} {:6.0f} s {:6.0f} MB exit {}".format
    large = folder / "large"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    for name, mode, kind in (
        ("a", "RGB", "png"),
        ("b", "RGBA", "png"),
        ("c", "RGB", "jpg"),
        ("d", "P", "png"),
    ):
        (large / name).mkdir(parents=True)
        for i in range(4):
            picture = Image.fromarray(np.roll(noise, i, 0)).resize((9950, 9950)).convert(mode)
            picture.save(
                large / name / f"{i}.{kind}", **({"compress_level": 1} if kind == "png" else {})
            )
    print(
        row(
            "fit, 16 pictures of 99 megapixels",
            *measured(["fit", str(large), "--backbone", "glyphs"]),
        ),
        flush=True,
    )
    shutil.rmtree(large)
    text = folder / "text.csv"
    rows = [f"some words number {i},{'ab'[i % 2]}" for i in range(20)]
    text.write_text("text,label\n" + "\n".join(rows) + "\n" + "many words " * 5_500_000 + ",a\n")
    print(
        row(
            "fit, a text of 60 MB",
            *measured(["fit", str(text), "--text-column", "text", "--label-column", "label"]),
        ),
        flush=True,
    )
    many = folder / "many.csv"
    with many.open("w") as file:
        file.write("text,label\n")
        file.writelines(
            f"text number {i} about thing {i % 977},class {i % 4}\n" for i in range(500_000)
        )
    print(
        row(
            "fit, 500,000 rows, --shots 5",
            *measured(["fit", str(many), "--shots", "5", "--out", str(folder / "m")]),
        ),
        flush=True,
    )
    classes = folder / "classes.csv"
    with classes.open("w") as file:
        file.write("text,label\n")
        file.writelines(
            f"text number {i} about thing {i % 5000},class {i % 5000}\n" for i in range(15_000)
        )
    out = folder / "classes"
    print(
        row(
            "fit, 5,000 classes",
            *measured(["fit", str(classes), "--head", "centroid", "--out", str(out)]),
        ),
        flush=True,
    )
    if (out / "bundle.json").exists():
        print(
            f"bundle.json of 5,000 classes: {(out / 'bundle.json').stat().st_size / 1e6:.1f} MB",
            flush=True,
        )
        print(
            row("predict one text", *measured(["predict", str(out), "about thing 7"])), flush=True
        )


def speed(folder: Path) -> None:
    """Seconds of audit and of fit; compare with another version, its sources in PYTHONPATH."""
    pictures = DATA / "hymenoptera"
    for name, line in (
        ("audit", ["audit"]),
        ("fit", ["fit", "--backbone", "torchvision:mobilenet_v2"]),
    ):
        times = []
        for turn in range(3):
            os.environ["HEADSTART_HOME"] = str(folder / f"home-{name}-{turn}")
            times.append(measured([line[0], str(pictures), *line[1:]])[0])
        print(f"{name} hymenoptera: {min(times):.2f} s, the best of {len(times)}", flush=True)


PARTS = {
    "photos": lambda _: photos(),
    "rubbish": lambda _: rubbish(),
    "tables": tables,
    "bundles": bundles,
    "encoders": encoders,
    "kills": kills,
    "flips": flips,
    "disks": disks,
    "memory": memory,
    "speed": speed,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=[*PARTS])
    for part in parser.parse_args().parts:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["HEADSTART_HOME"] = f"{scratch}/home"
            start = time.perf_counter()
            folder = Path(scratch) / "work"
            folder.mkdir()
            PARTS[part](folder)
            print(f"({part}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
