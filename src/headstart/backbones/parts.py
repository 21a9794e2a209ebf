"""Which parameters of a block are its biases, or belong to its normalisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from headstart.errors import UsageError


def biases(net: nn.Module) -> Iterator[str]:
    """Yield the names of what is added: shifts of normalisations too, but no tables of places."""
    for name, parameter in net.named_parameters():
        # Recurrent layers say bias_ih_l0, attention says in_proj_bias.
        if "bias" in name.rpartition(".")[2].split("_") and parameter.ndim == 1:
            yield name


def norms(net: nn.Module) -> Iterator[str]:
    """Yield the names of the scales and shifts of normalisations, of whichever library."""
    for prefix, module in net.named_modules():
        if "norm" in type(module).__name__.lower():
            yield from (
                f"{prefix}.{name}".removeprefix(".")
                for name, parameter in module.named_parameters(recurse=False)
                if parameter.ndim == 1
            )


PARTS: dict[str, Callable[[nn.Module], Iterator[str]]] = {"biases": biases, "norms": norms}
"""From the name of a part, see `headstart.strategies.plan.Part`, to its parameters' names."""


def names_of(net: nn.Module, part: str) -> frozenset[str]:
    """Return the names of the parameters of ``net`` that are such a part.

    Raises:
        UsageError: it has none.
    """
    found = frozenset(PARTS[part](net))
    if not found:
        raise UsageError(f"{type(net).__name__} has no {part} that could be trained alone.")
    return found
