"""The main job on embedded data, offline: printed glyphs carried over to handwritten digits.

The backbone `glyphs` has seen only characters rendered from fonts. The target is scikit-learn's
1,797 digits that people wrote by hand (Alpaydin and Kaynak 1998), with 1 to 8 labels a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.evaluation.runs import Comparison
from headstart.settings.table import Demonstrating
from headstart.settings.taking import takes
from headstart.verbs.compare import compare

STRATEGIES = ("scratch", "warm", "frozen")
HELD_OUT = 0.2


def digits() -> Dataset:
    """Return scikit-learn's handwritten digits: 1,797 grey pictures of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    return from_items((data.images * 255 / 16).astype(np.uint8), data.target)


@takes(Demonstrating)
def demo(run: Demonstrating) -> Comparison:
    """Compare scratch, warm and frozen on few labels, and draw the curves to ``out``."""
    data = digits()
    result = compare(
        data,
        strategies=STRATEGIES,
        shots=run.shots,
        draws=run.draws,
        val=HELD_OUT,
        workers=run.workers,
    )
    if run.out is not None:
        from headstart.report.pictures import demo_picture

        demo_picture(result, data, run.out)
    return result
