"""The command line: parse, call, show. No logic here; if a door needs some, the library lacks it.

Options come from `headstart.settings.table`. Results go to stdout, progress and notices to stderr.
Exit code 0: done; 1: it could not be done; 2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from headstart.errors import HeadstartError, UsageError, exit_code, nearest
from headstart.facts import finite
from headstart.settings.option import REQUIRED, Setting, Settings, table
from headstart.settings.table import VERBS
from headstart.settings.taking import described_one
from headstart.strategies.registry import OFFERED
from headstart.visible import visible


class _Verbs(TyperGroup):
    """The commands; of an unknown one the nearest is named, by its usual synonyms too."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which one may be meant."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            near = nearest(args[0], names)
            hint = f"; did you mean '{near}'?" if near else "."
            ctx.fail(f"there is no command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Verbs,
    help="Carry a pre-trained network over to your classes, and see which way works best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
pretrain_app = typer.Typer(help="Train a backbone of your own.", no_args_is_help=True)
app.add_typer(pretrain_app, name="pretrain")
detect_app = typer.Typer(help="Find things in pictures: boxes.", no_args_is_help=True)
app.add_typer(detect_app, name="detect")

Shown = Callable[[bool, dict[str, Any]], None]


def _path(name: str) -> Path:
    if not name.strip():  # Path would take the current folder
        raise typer.BadParameter("an empty name; '.' is the folder that you are in.")
    return Path(name)


def _place(metavar: str, said: str) -> Any:
    return typer.Argument(metavar=metavar, help=said, parser=_path)


DATA = Annotated[Path, _place("DATA", "A folder of classes, or a table.")]
BOXES = Annotated[Path, _place("DATA", "A COCO file, or a folder of COCO, VOC or YOLO.")]
SOURCE = Annotated[Path, _place("SOURCE", "Labelled: folder or table.")]
TARGET = Annotated[Path, _place("TARGET", "Labels are not needed.")]
BUNDLE = Annotated[Path, _place("BUNDLE", "A folder that fit made.")]
ITEMS = Annotated[
    list[str],
    typer.Argument(
        metavar="ITEM...", help="Files, folders, tables, sentences; - for lines of text."
    ),
]
BUNDLES = Annotated[
    list[Path],
    typer.Argument(metavar="BUNDLE...", help="Folders that fit made; several for filters alone."),
]
WHAT = Annotated[str, typer.Argument(metavar="WHAT", help="filters, errors, embedding or batch.")]
NAME = Annotated[str, typer.Argument(metavar="NAME", help="See `headstart backbones`.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def command(verb: str, to: typer.Typer = app, **arguments: Any) -> Callable[[Shown], Shown]:
    """Make a command of a function of (as_json, what was given), with the options of ``verb``."""

    def register(function: Shown) -> Shown:
        def called(as_json: bool, **given: Any) -> None:
            told = {key: value for key, value in given.items() if value is not None}
            _at_the_door(function, as_json, told)

        called.__doc__ = function.__doc__
        called.__signature__ = _signature(VERBS[verb], arguments)  # type: ignore[attr-defined]
        to.command(verb.split()[-1])(called)
        return function

    return register


def _signature(kind: type[Settings], arguments: dict[str, Any]) -> inspect.Signature:
    """Return what typer reads: all options are None where they are not given."""
    keyword, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    own = [inspect.Parameter(k, keyword, annotation=hint) for k, hint in arguments.items()]
    options = [
        inspect.Parameter(
            row.name,
            keyword,
            default=empty if row.default is REQUIRED else None,
            annotation=_hint(row),
        )
        for row in table(kind).values()
    ]
    as_json = inspect.Parameter("as_json", keyword, default=False, annotation=JSON)
    return inspect.Signature([*own, *options, as_json])


def _hint(row: Setting) -> Any:
    """Return the annotation of an option; what is written in words stays text until it is read."""
    plain: Any = str if row.parse else row.type
    shown = typer.Option(
        f"--{row.name.strip('_').replace('_', '-')}",
        help=described_one(row, OFFERED),
        min=row.least if plain in (int, float) else None,
        rich_help_panel=row.panel or None,
        show_default=False,
    )
    return Annotated[plain if row.default is REQUIRED else plain | None, shown]


def _at_the_door(function: Shown, as_json: bool, given: dict[str, Any]) -> None:
    """Show progress while ``function`` runs, and turn errors into one message and an exit code."""
    try:
        from headstart.report.terminal import shown

        with shown():
            function(as_json, given)
    except UsageError as error:
        _fail(str(error), 2)
    except HeadstartError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt as error:
        said = "interrupted; what was done is kept with --out DIR, and --resume goes on."
        _fail(said, exit_code(error))
    except BrokenPipeError:
        _hush()
        raise typer.Exit(1) from None
    except (OSError, MemoryError) as error:
        _fail(f"{type(error).__name__}: {error}", 1)
    finally:
        _flush()


def _flush() -> None:
    """Write what still waits for stdout; a full disk there is no success."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
    except OSError as error:
        _hush()
        _fail(f"stdout cannot be written to: {error}", 1)


def _hush() -> None:
    """Whoever read us has had enough; what Python would still flush has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_streams() -> None:
    """Let every name be printed in every locale, and let there be streams to print to."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - to the end of the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> None:
    with suppress(OSError, ValueError):  # where nobody listens, the exit code must do
        print(visible(f"headstart: {message}", "\n"), file=sys.stderr)
    raise typer.Exit(code)


def _emit(payload: dict[str, Any]) -> None:
    # ASCII only: valid in every locale, whatever the class names.
    print(json.dumps(finite(payload)))


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
    from headstart.report import tables
    from headstart.verbs.demo import demo as run

    given = {"out": Path("demo.png"), "workers": min(4, os.cpu_count() or 1)} | given
    result = run(**given)
    if as_json:
        _emit(result.to_json())
    else:
        tables.comparison(result)
        print(f"curves and examples: {given['out']}")


@command("audit", data=DATA)
def audit(as_json: bool, given: dict[str, Any]) -> None:
    """Look at data before training: what can be used, what cannot, and why."""
    import headstart
    from headstart.report import tables

    found = headstart.audit(**given)
    if as_json:
        _emit(found.to_json())
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
        _emit(result.to_json())
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
        _emit({"predictions": found})
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
        _emit(found.to_json())
    else:
        tables.evaluation(loaded.model.task, found)


@command("compare", data=DATA)
def compare(as_json: bool, given: dict[str, Any]) -> None:
    """Measure strategies side by side, on paired draws of your data."""
    import headstart
    from headstart.report import tables

    result = headstart.compare(**{"workers": 0} | given)
    if as_json:
        _emit(result.to_json())
    else:
        tables.comparison(result)


@command("adapt", source=SOURCE, target=TARGET)
def adapt(as_json: bool, given: dict[str, Any]) -> None:
    """Carry the classes of a labelled SOURCE over to a TARGET without labels."""
    import headstart
    from headstart.report import tables

    result = headstart.adapt(**given)
    if as_json:
        _emit(result.to_json())
    else:
        tables.adaptation(result)


@command("rank", data=DATA)
def rank(as_json: bool, given: dict[str, Any]) -> None:
    """Rank backbones by what a linear head reaches on your own items."""
    import headstart
    from headstart.report import tables

    result = headstart.rank(**given)
    if as_json:
        _emit(result.to_json())
    else:
        tables.ranking(result)


@command("features", data=DATA)
def features(as_json: bool, given: dict[str, Any]) -> None:
    """Write a backbone's vectors to a Parquet file, to take them elsewhere."""
    import headstart

    result = headstart.features(**given)
    if as_json:
        _emit(result)
    else:
        print(f"{result['n']} vectors of length {result['n_features']}: {result['out']}")


@command("show", bundle=BUNDLES, what=WHAT)
def show(as_json: bool, given: dict[str, Any]) -> None:
    """Draw what a saved model learned: filters, errors, embedding; or what training sees."""
    import headstart

    result = headstart.show(**given)
    if as_json:
        _emit(result)
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
        _emit(found.to_json())
    else:
        tables.backbones(found)


@command("fetch", name=NAME)
def fetch(as_json: bool, given: dict[str, Any]) -> None:
    """Bring the weights of a backbone to this machine, for later."""
    import headstart

    found = headstart.fetch(given["name"])
    if as_json:
        _emit(found)
    else:
        print(f"{found['name']} is here: {found['weights']} (licence: {found['licence']})")


@command("pretrain glyphs", pretrain_app)
def pretrain_glyphs(as_json: bool, given: dict[str, Any]) -> None:
    """Make the embedded default again, from the fonts that matplotlib ships."""
    from headstart.pretraining.glyphs import pretrain_glyphs as run
    from headstart.progress import log

    result = run(progress=lambda line: log.info("%s", line), **given)
    if as_json:
        _emit(result)
    else:
        for name, value in result.items():
            print(f"{name}: {value}")


@command("detect fit", detect_app, data=BOXES)
def detect_fit(as_json: bool, given: dict[str, Any]) -> None:
    """Train a detector on the boxes of DATA, measure it, and save it."""
    from headstart.report import tables
    from headstart.verbs.detect import fit as run

    result = run(**given)
    if as_json:
        _emit(result.to_json())
    else:
        tables.fit(result)


@command("detect predict", detect_app, bundle=BUNDLE, sources=ITEMS)
def detect_predict(as_json: bool, given: dict[str, Any]) -> None:
    """Find things in files and folders of pictures that the model has not seen."""
    from headstart.report import tables
    from headstart.verbs.detect import finder, stream

    task, answers = finder(given["bundle"]).task, stream(**given)
    if as_json:
        _emit({"predictions": list(answers)})
    else:
        tables.predictions(task, answers)


@command("detect evaluate", detect_app, bundle=BUNDLE, data=BOXES)
def detect_evaluate(as_json: bool, given: dict[str, Any]) -> None:
    """Measure a saved detector on pictures with boxes: mAP."""
    from headstart.report import tables
    from headstart.verbs.detect import evaluate as run
    from headstart.verbs.detect import finder
    from headstart.verbs.evaluate import Evaluated

    figures, skipped = run(**given)
    if as_json:
        _emit(figures.to_json() | {"skipped": [one._asdict() for one in skipped]})
    else:
        tables.evaluation(finder(given["bundle"]).task, Evaluated(figures, tuple(skipped)))


def _pretrained(as_json: bool, result: dict[str, Any]) -> None:
    if as_json:
        _emit(result)
        return
    print(f"{result['name']}: {result['source_domain']}; {result['check']}")
    print(f"{result['weights']} (--backbone takes this path)")


@command("pretrain supervised", pretrain_app, data=DATA)
def pretrain_supervised(as_json: bool, given: dict[str, Any]) -> None:
    """Make a backbone of labelled DATA, to carry over to other data."""
    from headstart.verbs.pretrain import supervised

    _pretrained(as_json, supervised(**given))


@command("pretrain autoencoder", pretrain_app, data=DATA)
def pretrain_autoencoder(as_json: bool, given: dict[str, Any]) -> None:
    """Make a backbone of pictures without labels, which it learns to mend."""
    from headstart.verbs.pretrain import autoencoder

    _pretrained(as_json, autoencoder(**given))


@command("pretrain masked", pretrain_app, data=DATA)
def pretrain_masked(as_json: bool, given: dict[str, Any]) -> None:
    """Tune an encoder on texts without labels, in which it learns to fill gaps."""
    from headstart.verbs.pretrain import masked

    _pretrained(as_json, masked(**given))


def main() -> None:
    """Run the command line."""
    # Read when torch is loaded: its threads then sleep while they wait for each other. Spinning,
    # they take a core each from whatever else runs, and training took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _prepare_streams()
    app(prog_name="headstart")
