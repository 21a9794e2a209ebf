"""The commands, one a verb: parse, call, show. If one needs logic, the library lacks it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headstart.cli.arguments import BUNDLE, BUNDLES, DATA, ITEMS, NAME, SOURCE, TARGET, WHAT
from headstart.cli.door import app, command, emit
from headstart.errors import HeadstartError


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from headstart import __version__

        print(__version__)
        raise typer.Exit


@command("demo")
def demo(as_json: bool, given: dict[str, Any]) -> None:
    """Run the main job on embedded data: printed glyphs to handwritten digits, offline."""
    from headstart.report import comparison_tables
    from headstart.verbs.demo import demo as run

    given = {"out": Path("demo.png"), "workers": min(4, os.cpu_count() or 1)} | given
    result = run(**given)
    if as_json:
        emit(result.to_json())
    else:
        comparison_tables.comparison(result)
        print(f"curves and examples: {given['out']}")


@command("audit", data=DATA)
def audit(as_json: bool, given: dict[str, Any]) -> None:
    """Look at data before training: what can be used, what cannot, and why."""
    import headstart
    from headstart.report import tables

    found = headstart.audit(**given)
    if as_json:
        emit(found.to_json())
    else:
        tables.audit(found)
    found.require_usable()


@command("fit", data=DATA)
def fit(as_json: bool, given: dict[str, Any]) -> None:
    """Carry a backbone over to the targets of DATA, measure it, and save it."""
    import headstart
    from headstart.report import tables

    result = headstart.fit(**given)
    if as_json:
        emit(result.to_json())
    else:
        tables.fit(result)


@command("predict", bundle=BUNDLE, sources=ITEMS)
def predict(as_json: bool, given: dict[str, Any]) -> None:
    """Answer for files, folders or tables that the model has not seen."""
    import headstart
    from headstart.report import tables
    from headstart.verbs.predict import stream

    loaded = headstart.load(given.pop("bundle"))
    answers = stream(loaded, **given)
    if as_json:
        found = list(answers)
        emit({"predictions": found})
        good = sum("error" not in one for one in found)
    elif "out" in given:
        good = tables.failures(answers)
        print(f"{good} answers: {given['out']}")
    else:
        good = tables.predictions(loaded.model.task, answers)
    if not good:
        raise HeadstartError("nothing could be answered.")


@command("evaluate", bundle=BUNDLE, data=DATA)
def evaluate(as_json: bool, given: dict[str, Any]) -> None:
    """Measure a saved model on labelled data."""
    import headstart
    from headstart.report import tables

    loaded = headstart.load(given.pop("bundle"))
    found = headstart.evaluate(loaded, **given)
    if as_json:
        emit(found.to_json())
    else:
        tables.evaluation(loaded.model.task, found)


@command("compare", data=DATA)
def compare(as_json: bool, given: dict[str, Any]) -> None:
    """Measure strategies side by side, on paired draws of your data."""
    import headstart
    from headstart.report import comparison_tables

    result = headstart.compare(**{"workers": 0} | given)
    if as_json:
        emit(result.to_json())
    else:
        comparison_tables.comparison(result)


@command("adapt", source=SOURCE, target=TARGET)
def adapt(as_json: bool, given: dict[str, Any]) -> None:
    """Carry the classes of a labelled SOURCE over to a TARGET without labels."""
    import headstart
    from headstart.report import tables

    result = headstart.adapt(**given)
    if as_json:
        emit(result.to_json())
    else:
        tables.adaptation(result)


@command("rank", data=DATA)
def rank(as_json: bool, given: dict[str, Any]) -> None:
    """Rank backbones by what a linear head reaches on your own items."""
    import headstart
    from headstart.report import tables

    result = headstart.rank(**given)
    if as_json:
        emit(result.to_json())
    else:
        tables.ranking(result)


@command("features", data=DATA)
def features(as_json: bool, given: dict[str, Any]) -> None:
    """Write a backbone's vectors to a Parquet file, to take them elsewhere."""
    import headstart

    result = headstart.features(**given)
    if as_json:
        emit(result)
    else:
        print(f"{result['n']} vectors of length {result['n_features']}: {result['out']}")


@command("show", bundle=BUNDLES, what=WHAT)
def show(as_json: bool, given: dict[str, Any]) -> None:
    """Draw what a saved model learned: filters, errors, embedding; or what training sees."""
    import headstart

    result = headstart.show(**given)
    if as_json:
        emit(result)
    else:
        for line in filter(None, [*result["lines"], result["out"]]):
            print(line)


@command("backbones")
def backbones(as_json: bool, given: dict[str, Any]) -> None:
    """List the backbones that are here, and those that are worth fetching."""
    from headstart.report import tables
    from headstart.verbs.backbones import backbones as run

    found = run(**given)
    if as_json:
        emit(found.to_json())
    else:
        tables.backbones(found)


@command("fetch", name=NAME)
def fetch(as_json: bool, given: dict[str, Any]) -> None:
    """Bring the weights of a backbone to this machine, for later."""
    import headstart

    found = headstart.fetch(given["name"])
    if as_json:
        emit(found)
    else:
        print(f"{found['name']} is here: {found['weights']} (licence: {found['licence']})")
