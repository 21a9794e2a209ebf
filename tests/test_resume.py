"""Runs that are interrupted anywhere, and end with the weights of one that was left alone."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.numpy import load_file

import headstart
from conftest import bars, save_bars, save_encoder, sentences
from headstart import bundle
from headstart.data.dataset import Dataset
from headstart.errors import UsageError, exit_code
from headstart.report import fit_page
from headstart.settings.groups import Options
from headstart.store import Shelves, home
from headstart.training import loop, soup, steps
from headstart.training.checkpoint import Checkpoints
from headstart.training.selection import Judge

# Rates at which something moves in few steps; enough items for some to choose the best epoch.
FEW = {"epochs": 3, "batch": 10, "body_rate": 1e-3, "head_rate": 1e-2}
VIEWS = FEW | {"augment": "light", "views": 2, "soup": 3}
MOVING = FEW | {"epochs": 6, "decay": 0.3, "freeze_threshold": 0.1, "freeze_patience": 1}

PICTURES = {
    "warm": FEW | {"soup": 3},
    "warm, views of each epoch": FEW | {"augment": "strong", "optimiser": "sgd"},
    "partial:2": VIEWS,
    "partial:2, nothing kept": FEW | {"cache_limit": 0.0},
    "gradual": VIEWS | {"epochs": 4},
    "auto-freeze": MOVING | {"soup": 3, "augment": "light"},
    "l2-sp": FEW | {"pull": 0.5},
    "lp-ft": FEW,
    "adapt-refit": VIEWS,
    "first:2": FEW | {"smoothing": 0.1, "class_weights": True},
    "scratch": FEW | {"epochs": 2},
}
TEXTS = {
    "warm": FEW | {"soup": 2},
    "partial:-1": FEW,
    "contrastive": FEW,
    "lora": FEW,
    "auto-freeze": MOVING,
    "scratch": FEW | {"epochs": 2, "min_frequency": 1},
}


class Result(NamedTuple):
    """What two runs must have in common, bit for bit."""

    numbers: dict[str, bytes]
    history: list[dict[str, float]]
    temperature: float
    accuracy: float


KNOWN: dict[str, Result] = {}


class Run:
    """The same fit as often as wanted, each time into the same folder."""

    def __init__(self, data: Dataset | Path, out: Path, strategy: str, **options: Any) -> None:
        self.data, self.out = data, out
        self.how: dict[str, Any] = {"strategy": strategy, "options": Options(**options)}

    def __call__(self, *, resume: bool = False, every: float = 0.0) -> Result:
        made = headstart.fit(
            self.data, out=self.out, resume=resume, checkpoint_every=every, device="cpu", **self.how
        )
        fitted = made.fitted
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.history]
        return Result(numbers(self.out), history, fitted.model.head.temperature, made.accuracy)

    def undisturbed(self) -> Result:
        """Run it without checkpoints on the way, once for all tests, and leave nothing."""
        data = self.data if isinstance(self.data, Path) else self.data.kind
        key = f"{data} {self.how}"
        if key not in KNOWN:
            KNOWN[key] = self(every=1e9)
            shutil.rmtree(self.out)
            shutil.rmtree(home() / "activations", ignore_errors=True)
        return KNOWN[key]

    @property
    def checkpoints(self) -> list[Path]:
        folder = self.out / bundle.CHECKPOINTS
        return sorted(folder.iterdir()) if folder.is_dir() else []


def numbers(out: Path) -> dict[str, bytes]:
    return {name: v.tobytes() for name, v in load_file(out / "model.safetensors").items()}


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plug is pulled here, and that files are synced is tested elsewhere."""
    monkeypatch.setattr("os.fsync", lambda opened: None)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    data = sentences(20)
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[str], Run]:
    """From a name in `PICTURES` to its run."""

    def named(name: str) -> Run:
        return Run(bars(20), tmp_path / "out", name.partition(",")[0], **PICTURES[name])

    return named


@pytest.fixture
def texts(tmp_path: Path, encoder: str) -> Callable[[str], Run]:
    """From a name in `TEXTS` to its run."""

    def named(name: str) -> Run:
        run = Run(sentences(20), tmp_path / "out", name, **TEXTS[name])
        run.how["backbone"] = encoder if name != "scratch" else "bilstm"
        return run

    return named


def until(steps: int, run: Run, *, resume: bool = False) -> Result | None:
    """Run until so many steps are done; return what comes of it if it ended before."""
    real, done = loop._Run._step, []

    def step(self: Any, *how: Any) -> float:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(how)
        return real(self, *how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Run, "_step", step)
        try:
            return run(resume=resume)
        except KeyboardInterrupt:
            return None


# -- the same weights -----------------------------------------------------------------------------


@pytest.mark.slow
def test_stopped_at_every_step_in_turn(pictures: Callable[[str], Run]) -> None:
    run = pictures("gradual")
    expected = run.undisturbed()
    assert [row["boundary"] for row in expected.history] == [3, 1, 0, 0]
    steps = 0
    while until(steps, run) is None:
        assert len(run.checkpoints) == min(steps, 2)
        assert run(resume=True) == expected, steps
        shutil.rmtree(run.out)
        steps += 1
    assert steps == 4 * 3


def step_by_step(run: Run) -> None:
    expected = run.undisturbed()
    stops = 0
    while (result := until(1, run, resume=True)) is None:
        stops += 1
    assert result == expected
    assert stops >= 5
    if run.how["strategy"] == "auto-freeze":
        assert len({row["boundary"] for row in expected.history}) > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_step_by_step(name: str, pictures: Callable[[str], Run]) -> None:
    step_by_step(pictures(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_texts_step_by_step(name: str, texts: Callable[[str], Run]) -> None:
    step_by_step(texts(name))


PLACES = [
    *(("gradual", loop._Run, "_enter", n) for n in (1, 2, 3)),
    *(("gradual", loop._Run, "_leave", n) for n in (1, 3)),
    *(("gradual", Shelves, "add", n) for n in (7, 50)),
    *(("gradual", Checkpoints, "save", n) for n in (1, 5)),
    *(("partial:2", loop._Run, "_score", n) for n in (1, 3)),
    *(("partial:2", soup, "greedy", 1), ("partial:2", Judge, "settled", 1)),
    *(("partial:2", bundle, "save", 1), ("partial:2", fit_page, "page", 1)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "owner", "name", "number"), PLACES)
def test_stopped_between_the_steps(
    strategy: str, owner: Any, name: str, number: int, pictures: Callable[[str], Run]
) -> None:
    run = pictures(strategy)
    expected = run.undisturbed()
    real, calls = getattr(owner, name), []

    def stopping(*how: Any, **more: Any) -> Any:
        calls.append(how)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*how, **more)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, stopping)
        run()
    assert run(resume=True) == expected


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_leaves_a_checkpoint(
    number: signal.Signals, pictures: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pictures("gradual")
    expected = run.undisturbed()
    real, done = loop._Run._step, []

    def step(self: Any, *how: Any) -> float:
        if len(done) == 7:
            signal.raise_signal(number)
        loss = real(self, *how)
        done.append(how)
        return loss

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as ended:
        patch.setattr(loop._Run, "_step", step)
        run(every=1e9)
    assert (len(done), exit_code(ended.value)) == (8, 128 + number)
    assert [path.name for path in run.checkpoints] == ["checkpoint-000001.safetensors"]
    assert run(resume=True) == expected


def test_where_kept_activations_are_lost(pictures: Callable[[str], Run]) -> None:
    run = pictures("auto-freeze")
    expected = run.undisturbed()
    assert until(11, run) is None
    shutil.rmtree(home() / "activations")
    assert run(resume=True) == expected


def test_where_some_activations_were_there_before(texts: Callable[[str], Run]) -> None:
    """Those of another draw, computed beside other texts."""
    run = texts("partial:-1")
    expected = run.undisturbed()
    run.how |= {"shots": 3, "seed": 1}
    run()
    run.how |= {"shots": None, "seed": 0}
    assert until(2, run) is None
    assert run(resume=True) == expected


def test_stopped_while_nothing_can_be_written(
    pictures: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """The checkpoints from before the disk was full are what the next run goes on from."""
    run = pictures("warm")
    expected = run.undisturbed()
    assert until(3, run) is None
    before = run.checkpoints
    with monkeypatch.context() as patch:
        patch.setattr("headstart.training.checkpoint.save_file", no_room)
        assert until(2, run, resume=True) is None
    assert run.checkpoints == before
    assert caplog.text.count("no checkpoint can be kept") == 1
    assert run(resume=True) == expected


def no_room(*how: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- damage ---------------------------------------------------------------------------------------


def said(caplog: pytest.LogCaptureFixture, *parts: str) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if any(part in line for part in parts)]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "one bit"])
def test_the_newest_is_damaged(
    damage: str, pictures: Callable[[str], Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = pictures("partial:2")
    expected = run.undisturbed()
    assert until(5, run) is None
    before, newest = run.checkpoints
    content = newest.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    changed = {"cut": content[:-1], "rubbish": b"rubbish", "empty": b"", "one bit": flipped}
    newest.write_bytes(changed[damage])
    caplog.clear()
    assert run(resume=True) == expected
    passed, going = said(caplog, "damaged", "from")
    assert passed.startswith(f"passing over a damaged checkpoint, {newest}")
    assert going == f"going on from {before.name}: stage 1, epoch 2, batch 2"


def test_both_are_damaged(pictures: Callable[[str], Run], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run = pictures("partial:2")
    expected = run.undisturbed()
    assert until(5, run) is None
    for path in run.checkpoints:
        path.write_bytes(path.read_bytes()[:-9])
    caplog.clear()
    assert run(resume=True) == expected
    assert len(said(caplog, "passing over a damaged checkpoint")) == 2
    assert said(caplog, "from") == ["no checkpoint is intact; starting from the beginning"]
    assert run.checkpoints == []


# -- another run ----------------------------------------------------------------------------------


def brighter(data: Dataset, index: int) -> Dataset:
    real = data.content

    def content(at: int) -> bytes:
        return real(at) if at != index else real(at)[:-1] + bytes([real(at)[-1] ^ 1])

    return replace(data, content=content)


PULL = PICTURES["l2-sp"]
OTHERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"options": Options(**PULL, smoothing=0.1)}, ["options.smoothing: was 0.0, is 0.1"]),
    ({"options": Options(**PULL | {"epochs": 4})}, ["options.epochs: was 3, is 4"]),
    ({"strategy": "warm"}, ['strategy: was "l2-sp", is "warm"']),
    ({"seed": 1}, ["seed: was 0, is 1", "training items: was "]),
    ({"shots": 5}, ["training items: was ", ', is "10, ']),
    ({"val": 0.3}, ["training items: was "]),
    ({"backbone": "random:glyphs"}, ['backbone: was "glyphs"', "weights and preprocessing: was "]),
    ({"channels": 3}, ["weights and preprocessing: was "]),
]


@pytest.mark.slow
def test_another_run_is_refused(pictures: Callable[[str], Run]) -> None:
    run = pictures("l2-sp")
    expected = run.undisturbed()
    assert until(4, run) is None
    before = [path.read_bytes() for path in run.checkpoints]
    how = run.how
    for change, differences in OTHERS:
        run.how = how | change
        with pytest.raises(UsageError, match="are of another run") as refused:
            run(resume=True)
        for difference in differences:
            assert difference in str(refused.value)
        assert "name another or an empty --out" in str(refused.value)
        assert [path.read_bytes() for path in run.checkpoints] == before
    run.how = how
    assert run(resume=True) == expected


def test_what_decides_no_weight_may_be_another(pictures: Callable[[str], Run]) -> None:
    run = pictures("gradual")
    expected = run.undisturbed()
    assert until(4, run) is None
    options = run.how["options"]
    run.how["options"] = replace(options, cache_limit=options.cache_limit / 2)
    assert run(resume=True, every=1e9) == expected


def test_a_checkpoint_of_a_version_with_fewer_options(
    pictures: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pictures("gradual")
    expected = run.undisturbed()
    with monkeypatch.context() as earlier:
        known = steps.deciding

        def fewer(*how: Any) -> dict[str, Any]:
            return {k: v for k, v in known(*how).items() if k not in ("smoothing", "rank")}

        earlier.setattr(steps, "deciding", fewer)
        assert until(4, run) is None
    options = run.how["options"]
    run.how["options"] = replace(options, smoothing=0.1)
    with pytest.raises(UsageError, match="options.smoothing: was 0.0, is 0.1"):
        run(resume=True)
    run.how["options"] = options
    assert run(resume=True) == expected


def test_one_picture_that_changed_is_enough(tmp_path: Path) -> None:
    run = Run(bars(20), tmp_path / "out", "warm", **FEW)
    assert until(4, run) is None
    trained = headstart.fit(bars(20), strategy="frozen").parts.train
    run.data = brighter(bars(20), int(trained[0]))
    with pytest.raises(UsageError, match="(training items|items to choose by): was "):
        run(resume=True)


def test_resume_wants_to_know_where() -> None:
    with pytest.raises(UsageError, match="resume goes on from what is in out"):
        headstart.fit(bars(), strategy="warm", resume=True)


def test_with_nothing_to_resume_it_begins(
    pictures: Callable[[str], Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = pictures("warm")
    expected = run.undisturbed()
    assert run(resume=True) == expected
    assert run(resume=True) == expected, "over the bundle that is there now"
    assert not said(caplog, "from")


@pytest.mark.slow
def test_after_success_only_the_bundle_is_left(pictures: Callable[[str], Run]) -> None:
    run = pictures("partial:2")
    run(every=1e9)
    usual = sorted(path.name for path in run.out.rglob("*"))
    shutil.rmtree(run.out)
    assert until(4, run) is None
    assert [path.name for path in run.out.iterdir()] == [bundle.CHECKPOINTS]
    run(resume=True)
    assert sorted(path.name for path in run.out.rglob("*")) == usual
    assert bundle.load(run.out).classes == ("bar 0", "bar 1")
    run()
    assert sorted(path.name for path in run.out.rglob("*")) == usual


def test_without_resume_it_begins_anew(
    pictures: Callable[[str], Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = pictures("warm")
    expected = run.undisturbed()
    run.how["seed"] = 1
    assert until(5, run) is None
    assert len(run.checkpoints) == 2
    run.how["seed"] = 0
    assert until(0, run) is None
    assert run.checkpoints == [], "those of the earlier run are gone at once"
    assert until(2, run) is None
    assert [path.name for path in run.checkpoints] == [
        "checkpoint-000001.safetensors",
        "checkpoint-000002.safetensors",
    ]
    assert run() == expected
    assert not said(caplog, "going on")


def test_a_solved_head_needs_none(tmp_path: Path, glyph_graph: Path) -> None:
    run = Run(bars(20), tmp_path / "out", "warm", **FEW)
    assert until(4, run) is None
    headstart.fit(run.data, out=run.out, resume=True, device="cpu")
    assert run.checkpoints == []


# -- whole processes ------------------------------------------------------------------------------

EPOCHS = 30


class Process:
    """One command line of `headstart fit`, as often as wanted."""

    def __init__(self, run: Run) -> None:
        self.run = run
        options = FEW | {"epochs": EPOCHS}
        flags = [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]
        named = run.how.get("backbone")
        self.line = [
            *(sys.executable, "-m", "headstart", "fit", str(run.data), "--out", str(run.out)),
            *("--strategy", run.how["strategy"], "--device", "cpu", "--json"),
            *("--checkpoint-every", "0", *flags, *(["--backbone", named] if named else [])),
        ]

    def stopped(self, number: signal.Signals, epoch: int) -> tuple[int, str, list[str]]:
        """Send a signal once an epoch is over; return exit code, stdout, and stderr from then."""
        with subprocess.Popen(
            self.line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(line.startswith(f"epoch {epoch}/{EPOCHS}:") for line in lines)
            process.send_signal(number)
            rest = list(lines)
            out = process.stdout.read()
        return process.returncode, out, rest

    def resumed(self) -> str:
        done = subprocess.run([*self.line, "--resume"], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["bundle"] == str(self.run.out)
        return done.stderr


@pytest.fixture
def process(request: pytest.FixtureRequest, tmp_path: Path, encoder: str) -> Process:
    if request.param == "texts":
        data = sentences(20)
        rows = [f"{data.classes[y]},{data.content(i).decode()}" for i, y in enumerate(data.labels)]
        table = tmp_path / "texts.csv"
        table.write_text("\n".join(["label,text", *rows]))
        run = Run(table, tmp_path / "out", "warm", **FEW | {"epochs": EPOCHS})
        run.how["backbone"] = encoder
        return Process(run)
    data = save_bars(tmp_path / "data", 20)
    return Process(Run(data, tmp_path / "out", "partial:2", **FEW | {"epochs": EPOCHS}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "number"),
    [
        ("pictures", signal.SIGKILL),
        ("texts", signal.SIGKILL),
        ("pictures", signal.SIGTERM),
        ("texts", signal.SIGINT),
    ],
    indirect=["process"],
)
def test_a_process_that_is_stopped(process: Process, number: signal.Signals) -> None:
    run = process.run
    expected = run.undisturbed()
    epoch = random.Random(int(number)).randint(1, EPOCHS - 15)
    code, out, rest = process.stopped(number, epoch)
    assert out == "", "it was stopped before its end"
    assert run.checkpoints
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number
        assert rest[-1].startswith("headstart: interrupted; what was done is kept")
        assert sum(line.startswith("headstart:") for line in rest) == 1
        assert not any("Traceback" in line for line in rest)
    assert "going on from checkpoint-" in process.resumed()
    assert numbers(run.out) == expected.numbers
    assert run.checkpoints == []
