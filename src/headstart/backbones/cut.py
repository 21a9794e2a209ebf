"""The cut: where the freeze boundary may stand in a network, found and proven.

It may stand wherever one activation is all that passes: where a module is given a value that
every path from the features back to the input goes through, and nothing below shares its weights
with anything above. That is a property of the network, see `headstart.backbones.look`. Which of
these boundaries are offered is taste: those between the blocks that the network is a list of.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbones.look import BATCH, LENGTH, Call, Look, Run, example, look, mapped

ENOUGH = 4
"""Boundaries in a network for pictures; where fewer stand between its blocks, we look inside."""

CONTAINERS = (nn.Sequential, nn.ModuleList)

HERE = torch.empty(0, device="meta")
"""Stands for the activation in what a module below the boundary returns."""


@dataclass(frozen=True)
class Boundary:
    """A module at whose input the freeze boundary may stand.

    Attributes:
        path: of the module.
        slot: which of its arguments is the activation, a position or a name.
        began: when the module is called, see `Call`.
        order: the axes of the activation as they go out: items first, then a text's tokens.
        below: the outermost modules that are not run for it, and what each call of them returns.
    """

    path: str
    slot: int | str
    began: int
    order: tuple[int, ...]
    below: dict[str, list[Any]]

    def outside(self, x: Tensor) -> Tensor:
        """Return the activation as it goes out: items first."""
        return x if self._plain else x.permute(self.order)

    def inside(self, x: Tensor) -> Tensor:
        """Return the activation as the module is given it."""
        return x if self._plain else x.permute(*map(self.order.index, range(x.ndim)))

    @property
    def _plain(self) -> bool:
        return self.order == tuple(range(len(self.order)))


@dataclass(frozen=True)
class Cut:
    """The boundaries of a network from the bottom up, its input not among them.

    Attributes:
        boundaries: see `Boundary`.
        began: when each module is first called, by its path.
        size: of an item that was looked at: (C, H, W) of a picture, () of a text.
    """

    boundaries: tuple[Boundary, ...]
    began: dict[str, int]
    size: tuple[int, ...]

    def owner(self, name: str) -> int:
        """Return the block that the parameter, buffer or module ``name`` belongs to.

        What is not called belongs to what it is part of: the network's own to block 0.
        """
        at = self.began.get(nearest(name, self.began), 0)
        return bisect_right([boundary.began for boundary in self.boundaries], at)


def find(net: nn.Module, run: Run, size: tuple[int, ...], source: str = "") -> Cut:
    """Return the boundaries that ``net`` offers.

    Args:
        net: a network without its head.
        run: its forward.
        size: (C, H, W) of a picture; () for texts.
        source: of texts, the path of the module that turns token ids into vectors.
    """
    x = example(net, BATCH, size, source)
    try:
        seen = look(net, run, x, source)
    except Exception:  # not every network can do without numbers
        seen = look(net, run, x, source, earnest=True)
    began: dict[str, int] = {}
    for call in seen.calls:
        began.setdefault(call.path, call.began)
    return Cut(tuple(_offered(net, seen, began, texts=not size)), began, size)


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """Return the longest of the paths ``known`` that ``name`` lies at or below; "" for none."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def _offered(net: nn.Module, seen: Look, began: dict[str, int], *, texts: bool) -> list[Boundary]:
    """Return the legal boundaries between blocks; where these are few, those inside of blocks."""
    legal = _legal(net, seen, texts=texts)
    starts: dict[str, str] = {}  # some blocks are not called, but what is in them is
    for call in seen.calls:
        for end in [i for i, letter in enumerate(call.path) if letter == "."] + [len(call.path)]:
            starts.setdefault(call.path[:end], call.path)
    found: list[Boundary] = []
    for units in levels(net, legal):
        wanted = {starts[path]: part for path, part in units.items() if path in starts}
        first = min((began[path] for path, part in wanted.items() if part), default=0)
        calls = [c for path, c in legal.items() if path in wanted and c.began >= first]
        found = [_boundary(seen, call, texts=texts) for call in _first(calls)]
        found = _with_weights(net, began, found)
        if len(found) >= ENOUGH or texts:
            break
    return found


def _legal(net: nn.Module, seen: Look, *, texts: bool) -> dict[str, Call]:
    """Return the calls at whose start the boundary may stand, by the path of their module."""
    spans = _spans(net, seen)
    times = Counter(call.path for call in seen.calls)
    begun: dict[Any, Call] = {}
    legal: dict[str, Call] = {}
    for call in seen.calls:
        if call.slot is None or call.value not in seen.passages:
            continue
        # What has read the value before made something else of it, or is what this is part of.
        before = begun.setdefault(call.value, call)
        shared = any(first < call.began <= last for first, last in spans)
        if call.path and (before.made == [call.value] or before.ended >= call.ended):
            begun[call.value] = call
            kept = _axes(call.shape, texts=texts) is not None
            if times[call.path] == 1 and kept and not shared:
                legal[call.path] = call
    return legal


def _first(calls: list[Call]) -> list[Call]:
    """Return for each value the first of the calls that are given it."""
    return list({call.value: call for call in reversed(calls)}.values())[::-1]


def _boundary(seen: Look, call: Call, *, texts: bool) -> Boundary:
    axes = _axes(call.shape, texts=texts)
    assert call.slot is not None and axes is not None
    return Boundary(call.path, call.slot, call.began, axes, _below(seen, call))


def _axes(shape: tuple[int, ...], *, texts: bool) -> tuple[int, ...] | None:
    """Return the axes of ``shape`` with the items of a look first, and then a text's tokens.

    None where they are not there: what is kept at a boundary is kept by item and token.

    >>> _axes((LENGTH, BATCH, 64), texts=True), _axes((BATCH, 64, 7, 7), texts=False)
    ((1, 0, 2), (0, 1, 2, 3))
    """
    if not texts:
        return tuple(range(len(shape))) if shape[0] == BATCH else None
    if len(shape) != 3 or shape.count(BATCH) != 1 or shape.count(LENGTH) != 1:
        return None
    items, tokens = shape.index(BATCH), shape.index(LENGTH)
    return items, tokens, 3 - items - tokens


def _spans(net: nn.Module, seen: Look) -> set[tuple[int, int]]:
    """Return of each parameter when a module that it is part of is first and last called."""
    began: dict[str, list[int]] = defaultdict(list)
    for call in seen.calls:
        began[call.path].append(call.began)
    times: dict[int, list[int]] = defaultdict(list)
    for name, parameter in net.named_parameters(remove_duplicate=False):
        path = nearest(name, began)
        times[id(parameter)] += began[path] if path else []
    return {(min(found), max(found)) for found in times.values() if found}


def _below(seen: Look, boundary: Call) -> dict[str, list[Any]]:
    """Return the outermost modules that are done before ``boundary`` and need not run for it.

    What makes anything that the input has no part in (positions, a mask) is run all the same.
    """
    run: set[int] = set()
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in seen.calls:
        if call.inside is None or call.inside.began in run:
            done = call.ended <= boundary.began
            if done and call.made and None not in call.made:
                calls[call.path].append(call)
            else:
                run.add(call.began)
    times = Counter(call.path for call in seen.calls)
    return {
        path: [_marked(call, boundary) for call in made]
        for path, made in calls.items()
        if len(made) == times[path]
    }


def _marked(call: Call, boundary: Call) -> Any:
    """Return what ``call`` returned, with `HERE` for what ``boundary`` is given."""
    made = iter(call.made)
    return mapped(lambda tensor: HERE if next(made) == boundary.value else tensor, call.output)


def _with_weights(net: nn.Module, began: dict[str, int], found: list[Boundary]) -> list[Boundary]:
    """Return the boundaries with anything above them, up to the next, that is worth training.

    A block without weights (a ReLU, a pooling) or with scales and shifts only is joined to the one
    below: a boundary there would separate nothing.
    """
    weights = [began.get(nearest(n, began), 0) for n, p in net.named_parameters() if p.ndim > 1]
    state = [began.get(nearest(n, began), 0) for n, t in net.state_dict().items() if t.ndim > 1]
    ends = [*(boundary.began for boundary in found[1:]), math.inf]
    return [
        boundary
        for boundary, end in zip(found, ends, strict=False)
        if any(at < boundary.began for at in state)
        and any(boundary.began <= at < end for at in weights)
    ]


def levels(net: nn.Module, legal: Mapping[str, Call]) -> Iterator[dict[str, bool]]:
    """Yield sets of modules at whose inputs a boundary is offered, from coarse to fine.

    Networks are lists of blocks, with something before and after: boundaries stand between these.
    Lists inside of blocks are opened, and at last every module, only where few come out.

    Args:
        net: the network.
        legal: the calls at whose start the boundary may stand, by the path of their module.

    Yields:
        The paths, and whether each is part of a list.
    """
    lists = {path for path, m in net.named_modules() if path and _is_list(m, path, legal)}
    # A list of bare layers, as of VGG, counts only in networks without any other.
    lists = lists or {path for path, m in net.named_children() if isinstance(m, CONTAINERS)}
    yield dict(_units(net, "", lists, inside=False))
    yield dict(_units(net, "", lists, inside=True))
    yield dict.fromkeys(legal, False)


def _units(
    module: nn.Module, above: str, lists: set[str], *, inside: bool
) -> Iterator[tuple[str, bool]]:
    for name, child in module.named_children():
        path = f"{above}{name}"
        if path in lists:
            for element, block in _elements(child, path):
                yield element, True
                if inside:
                    yield from _units(block, f"{element}.", lists, inside=True)
        elif any(one.startswith(f"{path}.") for one in lists):
            yield from _units(child, f"{path}.", lists, inside=inside)
        elif not above or not inside:
            yield path, False


def _elements(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the blocks of a list; of one that holds lists of one kind only, the blocks of these."""
    children = [(f"{path}.{name}", child) for name, child in module.named_children()]
    kinds = {type(child) for _, child in children}
    if len(kinds) > 1 or not issubclass(kinds.pop(), CONTAINERS):
        yield from children
        return
    for at, child in children:
        yield from ((f"{at}.{name}", block) for name, block in child.named_children())


def _is_list(module: nn.Module, path: str, legal: Mapping[str, Call]) -> bool:
    """Whether ``module`` holds blocks one after the other: a container, or parts of one kind."""
    parts = dict(module.named_children())
    blocks = [part for part in parts.values() if next(part.children(), None) is not None]
    alike = len(blocks) == len(parts) and len({type(part) for part in blocks}) == 1
    if not blocks or not (alike or isinstance(module, CONTAINERS)):
        return False
    inside = {call.value for at, call in legal.items() if at.startswith(f"{path}.")}
    return len(inside) > 1
