"""`predict`: answers for what the model has not seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from headstart import bundle as bundles
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.items import arriving
from headstart.errors import UsageError
from headstart.model import Model
from headstart.settings.table import Predicting
from headstart.settings.taking import takes


@takes(Predicting)
def predict(bundle: str | Path | Bundle, sources: Any, run: Predicting) -> list[dict[str, Any]]:
    """Return one answer an item of ``sources``, see `headstart.model.Model.stream`.

    With ``top_k`` each answer has a list ``top`` of the likeliest labels too.

    Raises:
        UsageError: ``top_k``, where answers have no probabilities.
    """
    return list(stream_of(bundle, sources, run))


@takes(Predicting)
def stream(bundle: str | Path | Bundle, sources: Any, run: Predicting) -> Iterator[dict[str, Any]]:
    """Yield the answers of `predict` as they come; memory does not grow with their number.

    ``-`` stands for standard input, each line of which is a text; it is answered as it comes.
    """
    return stream_of(bundle, sources, run)


def stream_of(
    bundle: str | Path | Bundle, sources: Any, run: Predicting
) -> Iterator[dict[str, Any]]:
    """Yield the answers under settings that are resolved already."""
    model = (bundle if isinstance(bundle, Bundle) else bundles.load(bundle)).model
    if run.top_k is not None and not model.task.names:
        raise UsageError(f"top_k is for names, and the task '{model.task.name}' has none.")
    answers = _answers(model, sources, pick(run.device))
    return answers if run.top_k is None else (_with_top(one, run.top_k) for one in answers)


def _answers(model: Model, sources: Any, device: str) -> Iterator[dict[str, Any]]:
    listed = sources if isinstance(sources, list | tuple) else [sources]
    if not any(map(_is_input, listed)):
        yield from model.stream(sources, device=device)
        return
    for is_input, group in groupby(listed, key=_is_input):
        if is_input:
            for lines in arriving(sys.stdin.buffer):
                yield from model.stream_texts(lines, device=device)
        else:
            yield from model.stream(list(group), device=device)


def _is_input(source: Any) -> bool:
    return isinstance(source, str | Path) and str(source) == "-"


def _with_top(answer: dict[str, Any], k: int) -> dict[str, Any]:
    """Return the answer with the ``k`` likeliest labels as ``top``; of equals the first comes."""
    if "error" in answer:
        return answer
    likeliest = sorted(answer["probabilities"].items(), key=lambda one: -one[1])[:k]
    return answer | {"top": [{"label": label, "probability": p} for label, p in likeliest]}
