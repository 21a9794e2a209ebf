"""Look at a network: run it once, and note which module was given what.

The input is the only tensor of the run that needs a gradient, so the autograd graph shows how the
features come from it. Pictures are shapes alone, on torch's meta device; a few short texts are
run in earnest, since encoders look at what the mask holds.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[nn.Module, Any], Tensor]
"""The whole forward: from a network, and what it reads, to the features (N, D)."""

Value = tuple[Any, int]
"""A tensor as the autograd graph knows it: the node that made it, and which of its outputs."""

BATCH, LENGTH = 3, 13
"""Items, and tokens of a text, that a look is at: numbers that nothing else in a network has."""


@dataclass
class Call:
    """One call of a module.

    Attributes:
        path: of the module in the network.
        began: how many calls had begun before.
        inside: the call that it was made in; None for the network's own.
        slot: which argument it was given, a position or a name; None where more than one tensor
            came from the input, or none.
        value: that argument in the autograd graph.
        shape: of that argument.
        ended: how many calls had begun when it was over.
        output: what it returned, with tensors on the meta device.
        made: the tensors of that in the autograd graph; None for one that the input has no part in.
    """

    path: str
    began: int
    inside: Call | None
    slot: int | str | None
    value: Value | None
    shape: tuple[int, ...]
    ended: int = 0
    output: Any = None
    made: list[Value | None] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """All calls in the order in which they began, and what all paths through them have in common.

    Attributes:
        calls: of all modules.
        passages: the values that every path from the features back to the input goes through.
    """

    calls: list[Call]
    passages: frozenset[Value]


def look(net: nn.Module, run: Run, x: Any, source: str = "", *, earnest: bool = False) -> Look:
    """Run a copy of ``net`` on ``x``; takes 0.01 to 0.5 seconds.

    Args:
        net: the network; it is not changed.
        run: its forward.
        x: what `run` reads.
        source: path of the module whose output stands for an input of integers, which no gradient
            reaches: a text's word embeddings.
        earnest: compute numbers too, which texts and recurrent networks always do.
    """
    # Recurrent layers take long on the meta device: torch writes out each of their steps.
    earnest = earnest or source != "" or any(isinstance(m, nn.RNNBase) for m in net.modules())
    shapes = copied(net, torch.detach if earnest else _numberless).eval()
    calls: list[Call] = []
    stack: list[Call] = []

    def begin(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        slot, value, shape = _given(args, kwargs)
        calls.append(Call(path, len(calls), stack[-1] if stack else None, slot, value, shape))
        stack.append(calls[-1])

    def end(path: str, output: Any) -> Any:
        if path and path == source:
            output = output.detach().requires_grad_().clone()
        call = stack.pop()
        call.ended, call.output = len(calls), mapped(_numberless, output)
        mapped(lambda t: call.made.append(_value(t) if t.requires_grad else None), output)
        return output

    for path, module in shapes.named_modules():
        module.register_forward_pre_hook(
            lambda _, args, kwargs, path=path: begin(path, args, kwargs), with_kwargs=True
        )
        module.register_forward_hook(lambda _, args, output, path=path: end(path, output))
    x = mapped(torch.clone if earnest else _numberless, x)
    with torch.enable_grad():
        features = run(shapes, x if source else x.requires_grad_())
    return Look(calls, passages(features))


def example(net: nn.Module, batch: int, size: tuple[int, ...] = (), source: str = "") -> Any:
    """Return noise to read: pictures of ``size`` (C, H, W), or texts, the first one padded.

    Texts are of `LENGTH` tokens in a batch of `BATCH`, and of others in other batches.
    """
    generator = torch.Generator().manual_seed(0)
    tables = [*net.get_submodule(source).parameters(), *net.get_submodule(source).buffers()]
    if size:
        pixels = torch.randn(batch, *size, generator=generator)
        return pixels.to(tables[0].device) if tables else pixels
    ids = torch.randint(len(tables[0]), (batch, LENGTH + 4 * (BATCH - batch)), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    return ids.to(tables[0].device), mask.to(tables[0].device)


def copied(net: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a copy of ``net`` with changed tensors, none of which needs a gradient."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(change(p.detach()), requires_grad=False) for p in net.parameters()
    }
    return copy.deepcopy(net, memo | {id(b): change(b) for b in net.buffers()})


def _numberless(tensor: Tensor) -> Tensor:
    return tensor.detach().to("meta")


def mapped(change: Callable[[Tensor], Any], tree: Any) -> Any:
    """Return ``tree``, tuples, lists and mappings of anything, with its tensors changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return type(tree)(**{key: mapped(change, value) for key, value in tree.items()})
    if isinstance(tree, tuple | list):
        inner = [mapped(change, value) for value in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    return tree


def _given(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int | str | None, Value | None, tuple[int, ...]]:
    """Return where the one value stands that came from the input, that value and its shape."""
    slots: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    found: list[tuple[int | str, Any, Tensor]] = []
    for slot, given in slots:
        inside: list[Tensor] = []
        mapped(inside.append, given)
        found += [(slot, given, tensor) for tensor in inside if tensor.requires_grad]
    values = {_value(tensor) for _, _, tensor in found}
    if len(values) != 1 or found[0][2].grad_fn is None or found[0][1] is not found[0][2]:
        return None, None, ()
    return found[0][0], values.pop(), tuple(found[0][2].shape)


def _value(tensor: Tensor) -> Value:
    return tensor.grad_fn, tensor.output_nr


def passages(features: Tensor) -> frozenset[Value]:
    """Return the values that every path of the graph from ``features`` to its start goes through.

    Going back in an order that takes a value after all that was made of it, a value is such a
    passage exactly if all edges that are open lead to it. These are the dominators of a graph
    with one end, in linear time.
    """
    first = _value(features)
    left = defaultdict(int, {first: 0})
    waiting = [first]
    while waiting:
        for value in _made_of(waiting.pop()):
            if value not in left:
                waiting.append(value)
            left[value] += 1
    found, into, waiting, opened = set(), dict(left), [first], 0
    while waiting:
        value = waiting.pop()
        if opened == into[value]:
            found.add(value)
        opened -= into[value]
        for below in _made_of(value):
            opened += 1
            left[below] -= 1
            if not left[below]:
                waiting.append(below)
    return frozenset(found)


def _made_of(value: Value) -> Iterator[Value]:
    return ((node, number) for node, number in value[0].next_functions if node is not None)
