"""The commands of `headstart detect`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from headstart.cli.arguments import BOXES, BUNDLE, ITEMS
from headstart.cli.door import command, detect_app, emit
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.tasks.boxes import Boxes


@command("detect fit", detect_app, data=BOXES)
def detect_fit(as_json: bool, given: dict[str, Any]) -> None:
    """Train a detector on the boxes of DATA, measure it, and save it."""
    from headstart.report import tables
    from headstart.verbs.detect import fit as run

    result = run(**given)
    if as_json:
        emit(result.to_json())
    else:
        tables.fit(result)


@command("detect predict", detect_app, bundle=BUNDLE, sources=ITEMS)
def detect_predict(as_json: bool, given: dict[str, Any]) -> None:
    """Find things in files and folders of pictures that the model has not seen."""
    from headstart import bundle
    from headstart.report import tables
    from headstart.verbs.detect import finder, stream

    given["bundle"] = bundle.load(given["bundle"])  # once, for both
    task, answers = cast("Boxes", finder(given["bundle"]).task), stream(**given)
    if as_json:
        found = list(answers)
        emit({"predictions": found})
        good = sum("error" not in one for one in found)
    else:  # what is not sure enough was left out already
        good = tables.predictions(replace(task, sure=0.0), answers)
    if not good:
        raise HeadstartError("nothing could be answered.")


@command("detect evaluate", detect_app, bundle=BUNDLE, data=BOXES)
def detect_evaluate(as_json: bool, given: dict[str, Any]) -> None:
    """Measure a saved detector on pictures with boxes: mAP."""
    from headstart import bundle
    from headstart.report import tables
    from headstart.verbs.detect import evaluate as run
    from headstart.verbs.detect import finder
    from headstart.verbs.evaluate import Evaluated

    given["bundle"] = bundle.load(given["bundle"])
    figures, skipped = run(**given)
    if as_json:
        emit(figures.to_json() | {"skipped": [one._asdict() for one in skipped]})
    else:
        tables.evaluation(finder(given["bundle"]).task, Evaluated(figures, tuple(skipped)))
