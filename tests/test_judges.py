"""Each strategy against its judge of `benchmarks/judges.py`, at a size at which epochs are chosen.

scikit-learn's handwritten digits, 20 a class, in an order without order, with damaged items and
copies between them: large enough that an inner part is set aside, which toy data never are.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from sklearn.datasets import load_digits

import judges
from headstart.backbones.registry import resolve
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.data.split import draw
from headstart.settings.groups import Options
from headstart.strategies.registry import STRATEGIES
from headstart.tasks.classes import LEAST_TO_SELECT
from headstart.training.selection import selection

PICTURES = [name for name in judges.JUDGES if name not in judges.TEXTS_ONLY]
SHOTS = 20
EPOCHS = 3


def test_every_strategy_but_scratch_has_a_judge() -> None:
    judged = {name.partition(":")[0] for name in judges.JUDGES}
    # Scratch is itself what others are judged by; the others are, in `test_remembering`.
    assert judged == set(STRATEGIES) - {"scratch", "rehearsal", "lwf"}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Shuffled digits; every ninth is damaged, every eleventh a copy of another."""
    found = load_digits()
    order = np.random.default_rng(7).permutation(len(found.target))[:1000]
    pictures = [np.uint8(15.9 * found.images[i]) for i in order]
    contents = [_npy(picture) for picture in pictures]
    labels = [str(found.target[i]) for i in order]
    data = from_items(pictures, labels)
    for at in range(0, 1000, 9):
        contents[at] = contents[at][:90]
    for at in range(10, 1000, 11):
        if labels[at] == labels[at - 1]:
            contents[at] = contents[at - 1]
    return Dataset(**{**vars(data), "content": contents.__getitem__})


def _npy(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, picture)
    return file.getvalue()


def case(digits: Dataset) -> judges.Case:
    """Return the draw: 20 a class of what the audit left, the rest to measure on."""
    usable = audit(digits).usable
    assert len(usable) < 900
    train = draw(digits.known, usable, SHOTS, seed=1)
    fit, select = selection(digits.known, train, Options(), 1)
    assert SHOTS >= LEAST_TO_SELECT and len(select)
    test = np.setdiff1d(usable, train)
    return judges.Case(digits, resolve("glyphs"), train, fit, select, test, 1, epochs=EPOCHS)


@pytest.fixture(scope="module")
def probe_alone(digits: Dataset, exported_glyphs: object) -> float:
    """What scikit-learn's logistic regression reaches on the unchanged features."""
    return judges.judge(case(digits), "frozen")


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_ours_is_not_below_the_judge(
    name: str, digits: Dataset, probe_alone: float, glyph_graph: object
) -> None:
    mine = judges.ours(case(digits), name)
    assert mine >= judges.judge(case(digits), name) - 0.02
    if name in ("lp-ft", "gradual", "frozen"):
        assert mine >= probe_alone - 0.01
