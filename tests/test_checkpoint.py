"""Checkpoints: what was saved comes back bit for bit, and damage never does."""

from __future__ import annotations

import copy
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from headstart.errors import UsageError, exit_code
from headstart.training import checkpoint, optimiser
from headstart.training.checkpoint import (
    Checkpoints,
    Saved,
    random_state,
    set_random_state,
)
from headstart.training.interrupts import deferred_interrupts

RUN = {"backbone": "glyphs", "seed": 0, "options": {"epochs": 5, "batch": 32}}
DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int16,
    torch.uint8,
    torch.bool,
    torch.float8_e4m3fn,
]


def saved(folder: Path, *numbers: int) -> Checkpoints:
    """Save a checkpoint for each number, which is in its tensor and in its facts."""
    found = Checkpoints(folder, RUN)
    for number in numbers:
        found.save({"weight": torch.full((3,), number)}, {"step": number})
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def newest(folder: Path) -> Path:
    return sorted(folder.glob("checkpoint-*"))[-1]


def latest(found: Checkpoints) -> Saved:
    one = found.latest()
    assert one is not None
    return one


def bits(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    # A clone: views of one element or none may keep a stride that stands in the way.
    plain = tensor.detach().clone(memory_format=torch.contiguous_format)
    flat = plain.reshape(-1).view(torch.uint8)
    return tensor.dtype, tuple(tensor.shape), flat.numpy().tobytes()


# -- what was saved comes back --------------------------------------------------------------------


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    maker = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    highest = 2 if dtype == torch.bool else 256  # all bytes: infinities and NaNs of all kinds
    raw = torch.randint(
        highest, (*shape, dtype.itemsize), dtype=torch.uint8, generator=maker
    ).reshape(-1)
    tensor = raw.view(dtype).reshape(shape)
    if shape and draw(st.booleans()):
        tensor = tensor.transpose(0, -1)
    if shape and draw(st.booleans()):
        tensor = tensor[::2]
    return tensor


facts = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=5), tensors(), max_size=5), facts)
def test_tensors_and_facts_come_back_as_they_were(tmp_path_factory, put, told):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    Checkpoints(folder, RUN).save(put, told)
    one = latest(Checkpoints(folder, RUN))
    assert {name: bits(t) for name, t in one.tensors.items()} == {
        name: bits(t) for name, t in put.items()
    }
    assert repr(one.facts) == repr(told)  # by their text, since NaN is not equal to itself


def test_tensors_that_share_memory(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    put = {
        "base": base,
        "again": nn.Parameter(base),
        "row": base[1],
        "turned": base.T,
        "wide": torch.tensor([7]).expand(5),
        "none": torch.empty(0, 3),
        "none too": torch.empty(0, 3),
        "one": torch.tensor(2.5),
    }
    Checkpoints(tmp_path, RUN).save(put, {})
    got = latest(Checkpoints(tmp_path, RUN)).tensors
    assert {name: bits(t) for name, t in got.items()} == {name: bits(t) for name, t in put.items()}
    got["base"].zero_()
    assert got["row"].tolist() == [4, 5, 6, 7]


def test_what_was_read_does_not_lie_in_the_file(tmp_path):
    found = saved(tmp_path, 7)
    one = latest(found)
    with one.path.open("r+b") as file:
        file.write(bytes(one.path.stat().st_size))
    assert one.tensors["weight"].tolist() == [7, 7, 7]


def test_the_file_is_plain_safetensors(tmp_path):
    saved(tmp_path, 4)
    with safe_open(tmp_path / "checkpoint-000001.safetensors", framework="numpy") as file:
        assert file.get_tensor("weight").tolist() == [4, 4, 4]
        content = json.loads(file.metadata()["checkpoint"])
    assert content == {"format": checkpoint.FORMAT, "run": RUN, "facts": {"step": 4}}


def test_the_run_may_be_written_with_tuples(tmp_path):
    Checkpoints(tmp_path, {"size": (32, 32)}).save({}, {"best": float("inf")})
    assert latest(Checkpoints(tmp_path, {"size": [32, 32]})).facts == {"best": float("inf")}


# -- which ones are kept --------------------------------------------------------------------------


def test_without_checkpoints_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere", RUN).latest() is None
    (tmp_path / "checkpoint-old.safetensors").write_text("a name that we did not give")
    assert Checkpoints(tmp_path, RUN).latest() is None


def test_the_two_newest_are_kept(tmp_path):
    found = saved(tmp_path, 1, 2, 3)
    assert names(tmp_path) == ["checkpoint-000002.safetensors", "checkpoint-000003.safetensors"]
    assert latest(found).facts == {"step": 3}
    saved(tmp_path, 4)
    assert names(tmp_path) == ["checkpoint-000003.safetensors", "checkpoint-000004.safetensors"]


def test_numbers_grow_past_six_digits(tmp_path):
    saved(tmp_path, 1)
    newest(tmp_path).rename(tmp_path / "checkpoint-999999.safetensors")
    assert latest(saved(tmp_path, 2)).path.name == "checkpoint-1000000.safetensors"


def test_time_for_the_next_one(tmp_path):
    now = [100.0]
    found = Checkpoints(tmp_path, RUN, every=60, clock=lambda: now[0])
    assert not found.due()
    now[0] = 160.0
    assert found.due()
    found.save({}, {})
    assert not found.due()
    now[0] = 219.0
    assert not found.due()
    now[0] = 220.0
    assert found.due()


def test_clear(tmp_path):
    folder = tmp_path / "checkpoints"
    found = saved(folder, 1, 2, 3)
    (folder / ".checkpoint-000004.safetensors.0123.part").write_bytes(b"half")
    found.clear()
    assert names(tmp_path) == []
    found.clear()
    saved(folder, 1)
    (folder / "notes.txt").write_text("not ours")
    found.clear()
    assert names(folder) == ["notes.txt"]


# -- damage ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> bytes:
    """A checkpoint's bytes, none of which is without meaning."""
    folder = tmp_path_factory.mktemp("small")
    put = {"w": torch.arange(3), "b": torch.tensor(0.5, dtype=torch.bfloat16)}
    for length in range(8):  # the header is padded to eight bytes; spaces could become tabs
        Checkpoints(folder, RUN).save(put, {"pad": "." * length})
        content = newest(folder).read_bytes()
        if b"} " not in content:
            return content
    raise AssertionError("no length needs no padding")


def damaged(folder: Path, content: bytes) -> Checkpoints:
    """Return checkpoints of which the newest has that content."""
    (folder / "checkpoint-000002.safetensors").write_bytes(content)
    return Checkpoints(folder, RUN)


def test_any_byte_that_changes_is_recognised(tmp_path, small):
    saved(tmp_path, 1)
    assert latest(damaged(tmp_path, small)).path == newest(tmp_path)
    for at in range(len(small)):
        changed = small[:at] + bytes([small[at] ^ 1 << at % 8]) + small[at + 1 :]
        assert latest(damaged(tmp_path, changed)).facts == {"step": 1}, at


def test_any_cut_is_recognised(tmp_path, small):
    saved(tmp_path, 1)
    for length in range(len(small)):
        assert latest(damaged(tmp_path, small[:length])).facts == {"step": 1}, length


@pytest.mark.parametrize(
    ("old", "new"), [(b'"I64"', b'"F64"'), (b"[2,3]", b"[3,2]"), (b'"w"', b'"v"')]
)
def test_another_type_shape_or_name_is_recognised(tmp_path, old, new):
    saved(tmp_path, 1).save({"w": torch.zeros(2, 3, dtype=torch.int64)}, {"step": 2})
    content = newest(tmp_path).read_bytes()
    assert content.count(old) == 1
    one = latest(damaged(tmp_path, content.replace(old, new)))
    assert one.facts == {"step": 1}


@settings(deadline=None)
@given(data=st.data())
def test_any_damage_is_recognised(tmp_path_factory, small, data):
    folder = tmp_path_factory.mktemp("run")
    saved(folder, 1)
    start = data.draw(st.integers(0, len(small)))
    stop = data.draw(st.integers(start, min(len(small), start + 20)))
    changed = small[:start] + data.draw(st.binary(max_size=20)) + small[stop:]
    one = latest(damaged(folder, changed))
    assert one.facts == {"step": 1} or changed == small


@pytest.mark.parametrize("facts", [None, {"digest": "0" * 32}], ids=["none", "wrong"])
def test_another_safetensors_file_is_not_a_checkpoint(tmp_path, caplog, facts):
    saved(tmp_path, 1, 2)
    save_file({"weight": torch.zeros(3)}, newest(tmp_path), facts)
    assert latest(Checkpoints(tmp_path, RUN)).facts == {"step": 1}
    assert "checkpoint-000002.safetensors: its content does not match its digest" in caplog.text


def test_where_all_are_damaged_there_is_none(tmp_path, caplog):
    found = saved(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"rubbish")
    assert found.latest() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "checkpoint-000001" in caplog.text and "checkpoint-000002" in caplog.text


def test_a_damaged_one_goes_when_the_next_is_there(tmp_path):
    saved(tmp_path, 1, 2)
    newest(tmp_path).write_bytes(b"rubbish")
    found = Checkpoints(tmp_path, RUN)
    found.latest()
    assert len(names(tmp_path)) == 2
    found.save({}, {"step": 3})
    assert names(tmp_path) == ["checkpoint-000001.safetensors", "checkpoint-000003.safetensors"]


def test_a_new_one_is_not_taken_for_a_damaged_one(tmp_path):
    found = saved(tmp_path, 1)
    newest(tmp_path).write_bytes(b"rubbish")
    found.latest()
    found.clear()
    for step in (1, 2):
        found.save({}, {"step": step})
    assert names(tmp_path) == ["checkpoint-000001.safetensors", "checkpoint-000002.safetensors"]


@pytest.mark.parametrize("left", [".checkpoint-000002.safetensors.01.part", ".tmpAb12Cd"])
def test_what_a_killed_process_leaves_is_removed(tmp_path, left):
    saved(tmp_path, 1)
    (tmp_path / left).write_bytes(b"half")
    found = Checkpoints(tmp_path, RUN)
    assert latest(found).facts == {"step": 1}
    found.save({}, {})
    assert names(tmp_path) == ["checkpoint-000001.safetensors", "checkpoint-000002.safetensors"]


# Each child goes on from what is there, and says so after each save. Eight megabytes take long
# enough for the kill to come in the middle of a save. They are forked: starting takes seconds.
CHILDREN = """
import itertools, os, sys, torch
from pathlib import Path
from headstart.training.checkpoint import Checkpoints
for _ in sys.stdin:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print("gone", flush=True)
        continue
    print(os.getpid(), flush=True)
    found = Checkpoints(Path(sys.argv[1]), {})
    one = found.latest()
    for step in itertools.count(one.facts["step"] + 1 if one else 1):
        found.save({"weight": torch.full((1 << 21,), float(step))}, {"step": step})
        print(step, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_kill_9_loses_nothing_that_was_saved(tmp_path, caplog):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", CHILDREN, str(tmp_path)]
    with subprocess.Popen(command, text=True, bufsize=1, **pipes) as parent:
        step = 0
        for lines, in_a_write in [(1, False), (2, True), (0, False), *[(1, True), (2, True)] * 2]:
            parent.stdin.write("another one\n")
            child = int(parent.stdout.readline())
            steps = [int(parent.stdout.readline()) for _ in range(lines)]
            if in_a_write:
                before = os.listdir(tmp_path)
                for _ in range(1_000_000):
                    if os.listdir(tmp_path) != before:
                        break
            os.kill(child, signal.SIGKILL)
            steps += [int(line) for line in iter(parent.stdout.readline, "gone\n")]
            assert steps == list(range(step + 1, step + 1 + len(steps)))
            one = Checkpoints(tmp_path, {}).latest()
            if one is not None:
                # The last one may be there whole before the child could say so.
                step = step + len(steps)
                assert one.facts["step"] in (step, step + 1)
                step = one.facts["step"]
                assert one.tensors["weight"].eq(step).all()
        assert step >= 9
    assert not caplog.records


# -- where nothing can be written -----------------------------------------------------------------


def full(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_the_library(tensors: Any, path: Path, metadata: Any) -> None:
    path.write_bytes(b"half")
    raise SafetensorError("Error while serializing: I/O error: No space left on device")


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("os.replace", full),
        ("os.fsync", full),
        ("pathlib.Path.touch", full),
        ("headstart.training.checkpoint.save_file", full_in_the_library),
    ],
)
def test_a_full_disk_stops_nothing(tmp_path, monkeypatch, caplog, where, what):
    now = [0.0]
    found = Checkpoints(tmp_path, RUN, every=60, clock=lambda: now[0])
    for step in (1, 2):
        found.save({}, {"step": step})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(where, what)
        for now[0] in (60.0, 120.0):
            assert found.due()
            found.save({}, {"step": 3})
            assert not found.due()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert latest(found).facts == {"step": 2}
    assert caplog.text.count("no checkpoint can be kept") == 1
    found.save({}, {"step": 4})
    assert latest(found).facts == {"step": 4}
    monkeypatch.setattr(where, what)
    found.save({}, {"step": 5})
    assert caplog.text.count("no checkpoint can be kept") == 2


def test_a_limit_of_the_system_stops_nothing(tmp_path, caplog):
    resource = pytest.importorskip("resource")
    found = saved(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        found.save({"weight": torch.zeros(4096)}, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["checkpoint-000001.safetensors"]
    assert latest(found).facts == {"step": 1}
    assert "File too large" in caplog.text


def test_a_file_in_the_place_of_the_folder_stops_nothing(tmp_path, caplog):
    (tmp_path / "checkpoints").write_text("no folder can be here")
    found = saved(tmp_path / "checkpoints", 1)
    assert found.latest() is None
    found.clear()
    assert names(tmp_path) == ["checkpoints"]
    assert "no checkpoint can be kept" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_stops_nothing(tmp_path, caplog):
    found = saved(tmp_path, 1)
    tmp_path.chmod(0o500)
    found.save({}, {"step": 2})
    assert latest(found).facts == {"step": 1}
    tmp_path.chmod(0o700)
    assert "no checkpoint can be kept" in caplog.text


def test_what_cannot_be_written_in_json_is_a_mistake(tmp_path):
    with pytest.raises(TypeError):
        Checkpoints(tmp_path, RUN).save({}, {"step": torch.tensor(1)})
    assert names(tmp_path) == []


def test_the_folder_is_synced_before_old_ones_go(tmp_path, monkeypatch):
    found = saved(tmp_path, 1, 2)
    seen: list[tuple[str, int]] = []
    sync = os.fsync

    def record(opened: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else "file"
        seen.append((kind, len(list(tmp_path.glob("checkpoint-*")))))
        sync(opened)

    monkeypatch.setattr("os.fsync", record)
    found.save({}, {})
    assert seen == [("file", 2), ("folder", 3)]
    assert len(names(tmp_path)) == 2


def test_where_folders_cannot_be_synced(tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        real = os.open
        patch.setattr(
            "os.open", lambda path, *how: full() if path == tmp_path else real(path, *how)
        )
        saved(tmp_path, 1)
    assert latest(Checkpoints(tmp_path, RUN)).facts == {"step": 1}
    assert not caplog.records


# -- another run ----------------------------------------------------------------------------------


def test_checkpoints_of_another_run_are_refused(tmp_path):
    saved(tmp_path, 1)
    long = "/data/" + "x" * 90 + "/birds"
    other = {"backbone": "glyphs", "seed": 1, "options": {"epochs": 5, "rate": 0.1}, "data": long}
    with pytest.raises(UsageError) as refused:
        Checkpoints(tmp_path, other).latest()
    assert str(refused.value).splitlines() == [
        f"the checkpoints in {tmp_path} are of another run:",
        "  seed: was 0, is 1",
        "  options.rate: was not given, is 0.1",
        f'  data: was not given, is "/data/{"x" * 40}…xxxxx/birds"',
        "Repeat the command line that they came from, or name another or an empty --out.",
    ]
    assert names(tmp_path) == ["checkpoint-000001.safetensors"]


def test_nothing_and_an_empty_group_differ_but_options_have_defaults(tmp_path):
    Checkpoints(tmp_path, {"data": {}, "options": {}, "rate": float("nan")}).save({}, {})
    usual = {"batch": 32, "cache_limit": 1.0}
    assert Checkpoints(tmp_path, {"data": {}, "options": usual, "rate": float("nan")}).latest()
    with pytest.raises(UsageError, match=r"data: was \{\}, is not given"):
        Checkpoints(tmp_path, {"rate": float("nan")}).latest()


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        saved(tmp_path, 1)
    with pytest.raises(UsageError, match="format: was "):
        Checkpoints(tmp_path, RUN).latest()


# -- random state ---------------------------------------------------------------------------------


def test_random_numbers_go_on_where_they_were(tmp_path):
    with torch.random.fork_rng():
        Checkpoints(tmp_path, RUN).save(random_state(), {})
        first = torch.rand(5)
        state = latest(Checkpoints(tmp_path, RUN)).tensors
        assert {one.dtype for one in state.values()} == {torch.uint8}
        set_random_state(state)
        assert torch.equal(torch.rand(5), first)


def test_the_generators_of_all_cuda_devices(monkeypatch):
    devices = [torch.tensor([1], dtype=torch.uint8), torch.tensor([2], dtype=torch.uint8)]
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.get_rng_state_all", lambda: devices)
    state = random_state()
    assert sorted(state) == ["cpu", "cuda0", "cuda1"]
    put: dict[int, Tensor] = {}
    monkeypatch.setattr("torch.cuda.set_rng_state", lambda one, i: put.update({i: one}))
    for n_devices in (0, 1, 2, 3):
        put.clear()
        monkeypatch.setattr("torch.cuda.device_count", lambda n=n_devices: n)
        set_random_state(state)
        assert put == dict(enumerate(devices[:n_devices]))


# -- optimisers -----------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw fused": lambda groups: torch.optim.AdamW(groups, fused=True),
    "adamw": lambda groups: torch.optim.AdamW(groups, betas=(0.8, 0.99), amsgrad=True),
    "sgd momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    "sgd": lambda groups: torch.optim.SGD(groups),
}


class Training:
    """A few steps of a small net whose weights lie in memory channels last, as pictures want."""

    def __init__(self, maker: Callable[[Any], torch.optim.Optimizer]) -> None:
        maker_of_numbers = torch.Generator().manual_seed(5)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 2))
        self.unused = nn.Parameter(torch.zeros(2))
        with torch.no_grad():
            for p in self.net.parameters():
                p.copy_(torch.randn(p.shape, generator=maker_of_numbers))
        self.net.to(memory_format=torch.channels_last)
        conv, head = self.net[0].parameters(), self.net[3].parameters()
        self.optimiser = maker(
            [
                {"params": conv, "lr": 0.01, "weight_decay": 0.1},
                {"params": [*head, self.unused], "lr": 0.1},
            ]
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda s: 1 / (1 + s))

    def steps(self, start: int, stop: int) -> None:
        for step in range(start, stop):
            x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(step))
            self.optimiser.zero_grad()
            self.net(x.to(memory_format=torch.channels_last)).square().sum().backward()
            self.optimiser.step()
            self.schedule.step()

    def weights(self) -> list[bytes]:
        return [bits(p)[2] for p in self.net.parameters()]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("start", [0, 3])
def test_an_optimiser_goes_on_bit_for_bit(tmp_path, name, start):
    first = Training(MAKERS[name])
    first.steps(0, start)
    packed, told = optimiser.packed(first.optimiser)
    net = {f"net.{name}": t for name, t in first.net.state_dict().items()}
    schedule = first.schedule.state_dict()
    Checkpoints(tmp_path, RUN).save(net | packed, {"optimiser": told, "schedule": schedule})
    first.steps(start, start + 3)

    other = Training(MAKERS[name])
    other.steps(0, 1)  # the new one need not be untouched
    one = latest(Checkpoints(tmp_path, RUN))
    other.net.load_state_dict(
        {k.removeprefix("net."): t for k, t in one.tensors.items() if k.startswith("net.")}
    )
    own = {k: t for k, t in one.tensors.items() if not k.startswith("net.")}
    kept = copy.deepcopy(own)
    optimiser.unpack(other.optimiser, own, one.facts["optimiser"])
    other.schedule.load_state_dict(one.facts["schedule"])
    other.steps(start, start + 3)

    assert other.weights() == first.weights()
    assert (
        other.optimiser.state_dict()["param_groups"] == first.optimiser.state_dict()["param_groups"]
    )
    assert {k: bits(t) for k, t in own.items()} == {k: bits(t) for k, t in kept.items()}


def test_what_was_packed_stays_as_it_was():
    training = Training(MAKERS["adamw"])
    training.steps(0, 1)
    packed, _ = optimiser.packed(training.optimiser)
    before = {name: bits(t) for name, t in packed.items()}
    training.steps(1, 2)
    assert {name: bits(t) for name, t in packed.items()} == before


def test_state_that_is_no_tensor():
    def one_step(optimiser: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
        parameter.grad = torch.ones(3).to_sparse()
        optimiser.step()

    first, other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
    a, b = torch.optim.SparseAdam([first]), torch.optim.SparseAdam([other])
    one_step(a, first)
    other.data.copy_(first.data)
    packed, told = optimiser.packed(a)
    assert told["state"] == {"0": {"step": 1}}
    optimiser.unpack(b, packed, json.loads(json.dumps(told)))
    for moving, parameter in ((a, first), (b, other)):
        one_step(moving, parameter)
    assert bits(first) == bits(other)


def test_an_optimiser_with_other_groups_is_refused():
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    packed, told = optimiser.packed(torch.optim.SGD([{"params": [one]}, {"params": [two]}]))
    with pytest.raises(ValueError):
        optimiser.unpack(torch.optim.SGD([one]), packed, told)


# -- interrupts -----------------------------------------------------------------------------------

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The test itself ends on neither signal, and leaves the handlers as they were."""
    before = {number: signal.getsignal(number) for number in BOTH}
    yield
    after = {number: signal.getsignal(number) for number in BOTH}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_step(number, code):
    done = []
    with pytest.raises(KeyboardInterrupt) as ended, deferred_interrupts() as interrupts:
        assert not interrupts.asked
        signal.raise_signal(number)
        done.append("the step")
        assert interrupts.asked and interrupts.signal == number
        raise KeyboardInterrupt
    assert done and exit_code(ended.value) == code


def test_the_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt) as ended, deferred_interrupts():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")
    assert exit_code(ended.value) == 130


def test_a_signal_that_nobody_heeded_ends_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt) as ended, deferred_interrupts():
        signal.raise_signal(signal.SIGTERM)
        done.append("all of it")
    assert done and exit_code(ended.value) == 143


def test_without_a_signal_nothing_happens():
    with deferred_interrupts() as interrupts:
        pass
    assert not interrupts.asked


def test_another_error_is_passed_on():
    with pytest.raises(ValueError, match="ours"), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("ours")


def test_exit_codes_of_interrupts_from_elsewhere():
    assert exit_code(KeyboardInterrupt()) == 130
    with pytest.raises(KeyboardInterrupt) as ended, deferred_interrupts():
        raise KeyboardInterrupt
    assert exit_code(ended.value) == 130


def test_what_was_ignored_still_is():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert not interrupts.asked
    assert signal.signal(signal.SIGINT, before) == signal.SIG_IGN


def test_a_handler_from_elsewhere_is_left_alone(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("signal.getsignal", lambda number: None)
        with deferred_interrupts():
            pass
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
    assert before == signal.default_int_handler


def test_where_nothing_can_end_torn_signals_are_released():
    with deferred_interrupts() as interrupts:
        with interrupts.released():
            assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert not interrupts.asked
        with pytest.raises(ValueError), interrupts.released():
            raise ValueError
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interrupts.signal = None


def test_outside_the_main_thread_nothing_changes():
    before = [signal.getsignal(number) for number in BOTH]
    seen: list[Any] = []

    def elsewhere() -> None:
        with deferred_interrupts() as interrupts, interrupts.released():
            seen.extend([interrupts.asked, [signal.getsignal(number) for number in BOTH]])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [False, before]
