"""`predict`: answers for what the model has not seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from headstart import bundle as bundles
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.items import arriving
from headstart.settings.table import Predicting
from headstart.settings.taking import takes


@takes(Predicting)
def predict(
    bundle: str | Path | Bundle, sources: str | Path | Sequence[str | Path], run: Predicting
) -> Iterator[dict[str, Any]]:
    """Yield one answer an item of ``sources``, see `Bundle.predict`.

    ``-`` stands for standard input, each line of which is a text; it is answered as it comes.
    With ``top_k`` each answer has a list ``top`` of the likeliest labels too.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    answers = _answers(loaded, listed, pick(run.device))
    return answers if run.top_k is None else (_with_top(one, run.top_k) for one in answers)


def _answers(loaded: Bundle, listed: Sequence[str | Path], device: str) -> Iterator[dict[str, Any]]:
    for is_input, group in groupby(listed, key=lambda source: str(source) == "-"):
        if is_input:
            for lines in arriving(sys.stdin.buffer):
                yield from loaded.predict_texts(lines, device=device)
        else:
            yield from loaded.predict(list(group), device=device)


def _with_top(answer: dict[str, Any], k: int) -> dict[str, Any]:
    """Return the answer with the ``k`` likeliest labels as ``top``; of equals the first comes."""
    if "error" in answer:
        return answer
    likeliest = sorted(answer["probabilities"].items(), key=lambda one: -one[1])[:k]
    return answer | {"top": [{"label": label, "probability": p} for label, p in likeliest]}
