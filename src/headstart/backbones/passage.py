"""Run part of a network, between two boundaries, and prove that the parts make the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from headstart.backbones.cut import HERE, Boundary, Cut
from headstart.backbones.known import Known
from headstart.backbones.look import BATCH, LENGTH, Run, copied, mapped
from headstart.progress import log

TOLERANCE = 1e-4
"""Largest difference between a cut network and a whole one, relative to the largest number."""


class _Reached(Exception):  # noqa: N818 - the way out of a forward that stops at a boundary
    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


def between(
    net: nn.Module,
    run: Run,
    cut: Cut,
    x: Any,
    low: Boundary | None,
    high: Boundary | None,
    fill: float | None = None,
) -> Any:
    """Return what stands at ``high`` from what stands at ``low``: the network's own forward.

    It is entered at ``low``: what lies below is not run but stood in for by tensors of the right
    shape, without numbers, and what the module there is given is replaced by ``x``. It stops when
    ``high`` is reached.

    Args:
        net: the network.
        run: its forward.
        cut: what is known of it.
        x: the activation at ``low``, with the mask of texts.
        low: where to enter; None for the input, which is then ``x``.
        high: where to stop; None for the features.
        fill: number in the tensors that stand in; None for whatever memory holds.
    """
    with _alone(net):  # what is replaced is looked at first, too
        hidden, mask = x if isinstance(x, tuple) else (x, None)
        forwards: dict[str, Callable[..., Any]] = {}
        if low is not None:
            length = None if mask is None else mask.shape[1]
            given = low.inside(hidden)
            stand_in = _StandIn(given, len(hidden), length, fill)
            forwards = {path: _returning(iter(made), stand_in) for path, made in low.below.items()}
            forwards[low.path] = _entered(net.get_submodule(low.path).forward, low.slot, given)
            x = (
                hidden.new_empty(len(hidden), *cut.size)
                if mask is None
                else (torch.zeros_like(mask), mask)
            )
        if high is not None:
            forwards[high.path] = _stopped(high)
        with _replaced(net, forwards):
            try:
                return run(net, x)
            except _Reached as reached:
                return reached.value if mask is None else (reached.value, mask)


@dataclass(frozen=True)
class _StandIn:
    """From a tensor that was looked at to one without numbers for the batch at hand."""

    like: Tensor
    batch: int
    length: int | None
    fill: float | None

    def __call__(self, seen: Tensor) -> Tensor:
        if seen is HERE:
            return self.like
        sizes = list(seen.shape)
        if self.length is None:
            sizes[:1] = [self.batch * size // BATCH for size in sizes[:1]]
        else:
            known = {BATCH: self.batch, LENGTH: self.length}
            sizes = [known.get(size, size) for size in sizes]
        dtype = self.like.dtype if seen.is_floating_point() else seen.dtype
        made = self.like.new_empty(sizes, dtype=dtype)
        if self.fill is not None or not seen.is_floating_point():
            made.fill_(self.fill if seen.is_floating_point() and self.fill is not None else 0)
        return made


def _returning(outputs: Iterator[Any], stand_in: _StandIn) -> Callable[..., Any]:
    return lambda *args, **kwargs: mapped(stand_in, next(outputs))


def _entered(forward: Callable[..., Any], slot: int | str, x: Tensor) -> Callable[..., Any]:
    def entered(*args: Any, **kwargs: Any) -> Any:
        if isinstance(slot, int):
            args = (*args[:slot], x, *args[slot + 1 :])
        else:
            kwargs[slot] = x
        return forward(*args, **kwargs)

    return entered


def _stopped(boundary: Boundary) -> Callable[..., Any]:
    def stopped(*args: Any, **kwargs: Any) -> Any:
        raise _Reached(boundary.outside(_argument(boundary.slot, args, kwargs)))

    return stopped


def _argument(slot: int | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    given: Tensor = args[slot] if isinstance(slot, int) else kwargs[slot]
    return given


_BUSY: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_MAKING = Lock()


@contextmanager
def _alone(net: nn.Module) -> Iterator[None]:
    """Let other threads wait that would enter ``net`` elsewhere: its modules are changed for it."""
    with _MAKING:
        busy = _BUSY.setdefault(net, RLock())
    with busy:
        yield


@contextmanager
def _replaced(net: nn.Module, forwards: dict[str, Callable[..., Any]]) -> Iterator[None]:
    """Let the modules at the paths of ``forwards`` do something else for a while."""
    modules = [(net.get_submodule(path), forward) for path, forward in forwards.items()]
    before = [vars(module).get("forward") for module, _ in modules]
    try:
        for module, forward in modules:
            vars(module)["forward"] = forward
        yield
    finally:
        for (module, _), old in zip(modules, before, strict=True):
            if old is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = old


def proven(net: nn.Module, run: Run, cut: Cut, x: Any, known: Known | None = None) -> Cut:
    """Return ``cut`` with those boundaries only at which ``net`` answers as the whole network.

    Each is entered with what the whole network has there, and numbers that stand for nothing
    (NaN) below; what comes out at the next one must be what the whole network has there.

    Args:
        net: the network.
        run: its forward.
        cut: from `find`.
        x: what `run` reads, of other sizes than were looked at.
        known: what remembers the answer; None to prove it every time.
    """
    paths = known.read("cuts") if known else None
    if paths is not None:
        return replace(cut, boundaries=tuple(b for b in cut.boundaries if b.path in paths))
    net = copied(net, lambda tensor: tensor).eval()
    found: list[Boundary] = []
    with torch.no_grad():
        truth = _whole(net, run, cut, x)
        above: Boundary | None = None
        for boundary in reversed(cut.boundaries):
            if _holds(net, run, cut, truth, boundary, above):
                found, above = [boundary, *found], boundary
    lost = len(cut.boundaries) - len(found)
    if lost:
        log.warning(
            "%d of %d possible freeze boundaries do not hold, and are left out",
            lost,
            len(cut.boundaries),
        )
    if known:
        known.note("cuts", [boundary.path for boundary in found])
    return replace(cut, boundaries=tuple(found))


def _whole(net: nn.Module, run: Run, cut: Cut, x: Any) -> dict[str, Any]:
    """Return what the whole network has at each boundary, and its features under ""."""
    truth: dict[str, Any] = {}
    mask = x[1] if isinstance(x, tuple) else None

    def noted(boundary: Boundary) -> Callable[..., None]:
        def note(_: nn.Module, args: Any, kwargs: Any) -> None:
            value = boundary.outside(_argument(boundary.slot, args, kwargs)).clone()
            truth[boundary.path] = value if mask is None else (value, mask)

        return note

    hooks = [
        net.get_submodule(b.path).register_forward_pre_hook(noted(b), with_kwargs=True)
        for b in cut.boundaries
    ]
    truth[""] = run(net, x)
    for hook in hooks:
        hook.remove()
    return truth


def _holds(
    net: nn.Module,
    run: Run,
    cut: Cut,
    truth: dict[str, Any],
    low: Boundary,
    high: Boundary | None,
) -> bool:
    given = mapped(lambda t: t.clone(), truth[low.path])
    try:
        got = between(net, run, cut, given, low, high, fill=torch.nan)
    except Exception as error:  # what a network makes of a stand-in may be any
        log.debug("no boundary at %s: %s", low.path, error)
        return False
    want = truth[high.path if high else ""]
    return _alike(got, want) and _alike(given, truth[low.path])


def _alike(got: Any, want: Any) -> bool:
    got, want = (x[0] if isinstance(x, tuple) else x for x in (got, want))
    scale = max(float(want.abs().max()), 1e-6)
    return got.shape == want.shape and float((got - want).abs().max()) <= TOLERANCE * scale
