"""The command line: parse, call, show. No logic here; if a door needs some, the library lacks it.

Results go to stdout, progress and notices to stderr. Exit code 0: done; 1: it could not be done;
2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from headstart.errors import HeadstartError, UsageError, exit_code

app = typer.Typer(
    help="Carry a pre-trained network over to your classes, and see which way works best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
pretrain_app = typer.Typer(help="Train a backbone of your own.", no_args_is_help=True)
app.add_typer(pretrain_app, name="pretrain")

Function = TypeVar("Function", bound=Callable[..., None])

# Sections of --help.
TRAINING, KEPT = "Training by steps", "Activations that are kept"
TEXTS, TABLES = "Texts", "Tables"

Data = Annotated[Path, typer.Argument(metavar="DATA", help="A folder of classes, or a table.")]
Saved = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that fit made.")]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Name, or x+y to join features; random:x for random weights. Default: glyphs for "
        "pictures, minilm for texts."
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        help="frozen, warm, scratch, partial:K, first:K, discriminative, gradual, lp-ft, l2-sp, "
        "auto-freeze, lora; contrastive for texts."
    ),
]
Val = Annotated[float, typer.Option(help="Share held out if the data have no split.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Channels = Annotated[
    int | None, typer.Option(min=1, help="Of the pictures; adapts the first convolution.")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes; default by size.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Images = Annotated[
    Path | None,
    typer.Option(help="Folder of the pictures that a table names.", rich_help_panel=TABLES),
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Label column of a table.", rich_help_panel=TABLES)
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        help="Text column of a table; several, with commas, are joined.", rich_help_panel=TABLES
    ),
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Picture column of a table.", rich_help_panel=TABLES)
]
Head = Annotated[str, typer.Option(help="Of frozen: logistic, svm, ridge, bayes or centroid.")]
Augment = Annotated[
    str | None, typer.Option(help="off, light or strong.", rich_help_panel=TRAINING)
]
ImageSize = Annotated[
    int | None,
    typer.Option(min=8, help="Of pictures: pixels a side that are read; fewer are faster."),
]
Pooling = Annotated[
    str | None,
    typer.Option(help="Of texts: first, mean, max, last or attention.", rich_help_panel=TEXTS),
]
MaxLength = Annotated[
    int | None, typer.Option(min=1, help="Of texts: tokens that are read.", rich_help_panel=TEXTS)
]
Clean = Annotated[
    bool | None,
    typer.Option(
        help="Resolve entities, take out markup; by default for bilstm, textcnn, ... alone.",
        rich_help_panel=TEXTS,
    ),
]
Vectors = Annotated[
    str | None,
    typer.Option(
        help="Word vectors in GloVe's format, for bilstm, textcnn, ...", rich_help_panel=TEXTS
    ),
]
MinFrequency = Annotated[
    int | None,
    typer.Option(min=1, help="Of a word, for bilstm, textcnn, ...", rich_help_panel=TEXTS),
]


def door(function: Function) -> Function:
    """Show progress while ``function`` runs, and turn errors into one message and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            from headstart.report.terminal import shown

            with shown():
                function(*args, **kwargs)
        except UsageError as error:
            _fail(str(error), 2)
        except HeadstartError as error:
            _fail(str(error), 1)
        except KeyboardInterrupt as error:
            said = "interrupted; what was done is kept with --out DIR, and --resume goes on."
            _fail(said, exit_code(error))
        except BrokenPipeError:
            # Whoever read us has had enough; what Python would still flush has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (OSError, MemoryError) as error:
            _fail(f"{type(error).__name__}: {error}", 1)

    return wrapped  # type: ignore[return-value]


def _fail(message: str, code: int) -> None:
    print(f"headstart: {message}", file=sys.stderr)
    raise typer.Exit(code)


def _emit(payload: dict[str, Any]) -> None:
    # ASCII only: valid in every locale, whatever the class names.
    print(json.dumps(payload))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _given(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _reading(text_column: str | None = None, **given: Any) -> dict[str, Any]:
    return _given(text_column=_listed(text_column) if text_column else None, **given)


def _options(**given: Any) -> Any:
    from headstart.strategies.plan import Options

    return Options(**_given(**given))


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from headstart import __version__

        print(__version__)
        raise typer.Exit


@app.command()
@door
def demo(
    draws: Annotated[int, typer.Option(min=1, help="Random choices of the labels.")] = 10,
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("demo.png"),
    as_json: AsJson = False,
) -> None:
    """Run the main job on embedded data: printed glyphs to handwritten digits, offline."""
    from headstart.report import tables
    from headstart.verbs.demo import demo as run

    result = run(draws=draws, out=out, workers=min(4, os.cpu_count() or 1))
    if as_json:
        _emit(result.to_json())
    else:
        tables.comparison(result)
        print(f"curves and examples: {out}")


@app.command()
@door
def audit(
    data: Data,
    images: Images = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    out: Annotated[Path | None, typer.Option(help="CSV of what cannot be used.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at data before training: what can be used, what cannot, and why."""
    import headstart
    from headstart.report import tables

    found = headstart.audit(
        data,
        **_reading(
            images=images,
            image_column=image_column,
            label_column=label_column,
            text_column=text_column,
        ),
    )
    if out:
        found.write_skipped(out)
    if as_json:
        _emit(found.to_json())
    else:
        tables.audit(found)
    found.require_usable()


@app.command()
@door
def fit(
    data: Data,
    backbone: Backbone = None,
    strategy: Strategy = "frozen",
    val: Val = 0.2,
    shots: Annotated[
        int | None, typer.Option(min=1, help="Labelled examples a class; the rest is not used.")
    ] = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the bundle.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where --out was left.")] = False,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds.", rich_help_panel=TRAINING)
    ] = 60.0,
    head: Head = "logistic",
    image_size: ImageSize = None,
    augment: Augment = None,
    views: Annotated[
        int | None, typer.Option(min=1, help="Fixed views of each picture.", rich_help_panel=KEPT)
    ] = None,
    cache_limit: Annotated[
        float | None,
        typer.Option(min=0, help="GB on disk that activations may take.", rich_help_panel=KEPT),
    ] = None,
    cache_half: Annotated[
        bool,
        typer.Option(
            "--cache-half", help="Keep activations as 16-bit floats.", rich_help_panel=KEPT
        ),
    ] = False,
    soup: Annotated[
        int | None, typer.Option(min=0, help="Best epochs to average.", rich_help_panel=TRAINING)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Of training.", rich_help_panel=TRAINING)
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option(help="adamw or sgd.", rich_help_panel=TRAINING)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Examples a step.", rich_help_panel=TRAINING)
    ] = None,
    body_rate: Annotated[
        float | None, typer.Option(help="Learning rate of the body.", rich_help_panel=TRAINING)
    ] = None,
    head_rate: Annotated[
        float | None, typer.Option(help="Learning rate of the head.", rich_help_panel=TRAINING)
    ] = None,
    decay: Annotated[
        float | None, typer.Option(help="Layer-wise decay of the rate.", rich_help_panel=TRAINING)
    ] = None,
    smoothing: Annotated[
        float | None, typer.Option(help="Label smoothing.", rich_help_panel=TRAINING)
    ] = None,
    class_weights: Annotated[
        bool, typer.Option(help="Weigh rare classes more.", rich_help_panel=TRAINING)
    ] = False,
    early_stopping: Annotated[
        bool, typer.Option(help="Keep the best epoch.", rich_help_panel=TRAINING)
    ] = True,
    pull: Annotated[
        float | None, typer.Option(help="l2-sp: strength.", rich_help_panel=TRAINING)
    ] = None,
    freeze_threshold: Annotated[
        float | None,
        typer.Option(
            help="auto-freeze: update of a block at rest, as a share of the largest, 0..1.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    freeze_patience: Annotated[
        int | None,
        typer.Option(min=1, help="auto-freeze: epochs at rest.", rich_help_panel=TRAINING),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(min=1, help="lora: rank of the adapters.", rich_help_panel=TRAINING),
    ] = None,
    pooling: Pooling = None,
    max_length: MaxLength = None,
    clean: Clean = None,
    vectors: Vectors = None,
    min_frequency: MinFrequency = None,
    channels: Channels = None,
    device: Device = "auto",
    images: Images = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Carry a backbone over to the classes of DATA, measure it, and save it."""
    import headstart
    from headstart.report import tables

    options = _options(
        epochs=epochs,
        head=head,
        image_size=image_size,
        augment=augment,
        optimiser=optimiser,
        batch=batch,
        body_rate=body_rate,
        head_rate=head_rate,
        decay=decay,
        smoothing=smoothing,
        class_weights=class_weights,
        early_stopping=early_stopping,
        views=views,
        cache_limit=cache_limit,
        cache_half=cache_half,
        soup=soup,
        seconds=max_seconds,
        pull=pull,
        freeze_threshold=freeze_threshold,
        freeze_patience=freeze_patience,
        rank=rank,
        pooling=pooling,
        max_length=max_length,
        clean=clean,
        vectors=vectors,
        min_frequency=min_frequency,
    )
    result = headstart.fit(
        data,
        backbone=backbone,
        strategy=strategy,
        val=val,
        shots=shots,
        seed=seed,
        out=out,
        resume=resume,
        every=checkpoint_every,
        device=device,
        channels=channels,
        options=options,
        **_reading(
            images=images,
            image_column=image_column,
            label_column=label_column,
            text_column=text_column,
        ),
    )
    if as_json:
        _emit(result.to_json())
    else:
        tables.fit(result)


@app.command()
@door
def predict(
    bundle: Saved,
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="ITEM...", help="Files, folders, tables, sentences; - for lines of text."
        ),
    ],
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Answer for files, folders or tables that the model has not seen."""
    import headstart
    from headstart.report import tables

    answers = headstart.predict(bundle, items, device=device)
    if as_json:
        _emit({"predictions": list(answers)})
    else:
        tables.predictions(answers)


@app.command()
@door
def evaluate(
    bundle: Saved,
    data: Data,
    device: Device = "auto",
    images: Images = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Measure a saved model on labelled data."""
    import headstart
    from headstart.report import tables

    figures, skipped = headstart.evaluate(
        bundle,
        data,
        device=device,
        **_reading(
            images=images,
            image_column=image_column,
            label_column=label_column,
            text_column=text_column,
        ),
    )
    if as_json:
        _emit(figures.to_json() | {"skipped": [one._asdict() for one in skipped]})
    else:
        tables.evaluation(figures, skipped)


@app.command()
@door
def compare(
    data: Data,
    strategies: Annotated[str, typer.Option(help="Names, with commas.")] = "scratch,warm,frozen",
    backbones: Annotated[
        str | None, typer.Option(help="Names, with commas. Default: glyphs, or minilm for texts.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Labels a class, with commas: 8,64,all.")] = "all",
    draws: Annotated[int, typer.Option(min=1, help="Random choices of the labels.")] = 5,
    budget: Annotated[str | None, typer.Option(help="Time at most: 90s, 10m, 2h.")] = None,
    val: Val = 0.2,
    seed: Seed = 0,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    augment: Augment = None,
    views: Annotated[int | None, typer.Option(min=1, help="Fixed views of each picture.")] = None,
    max_length: MaxLength = None,
    vectors: Vectors = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Fits side by side. Default: 2 on a CPU.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for table and picture; up to date after each run.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in --out, or add to it.")
    ] = False,
    device: Device = "auto",
    images: Images = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Measure strategies side by side, on paired draws of your data."""
    import headstart
    from headstart.report import tables

    result = headstart.compare(
        data,
        strategies=_listed(strategies),
        backbones=_listed(backbones or ""),
        shots=_shots(shots),
        draws=draws,
        val=val,
        seed=seed,
        device=device,
        budget=_seconds(budget),
        workers=workers,
        out=out,
        resume=resume,
        options=_options(
            epochs=epochs,
            image_size=image_size,
            augment=augment,
            views=views,
            max_length=max_length,
            vectors=vectors,
        ),
        **_reading(
            images=images,
            image_column=image_column,
            label_column=label_column,
            text_column=text_column,
        ),
    )
    if out:
        tables.save_comparison(result, out)
    if as_json:
        _emit(result.to_json())
    else:
        tables.comparison(result)


def _shots(text: str) -> list[Any]:
    try:
        return [part if part == "all" else int(part) for part in _listed(text)]
    except ValueError:
        raise UsageError(f"--shots {text}: write whole numbers or all, as in 8,64,all.") from None


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    scale = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in scale else (text, "s")
    try:
        return float(number) * scale[unit]
    except ValueError:
        raise UsageError(f"--budget {text}: write 90s, 10m or 2h.") from None


@app.command()
@door
def features(
    data: Data,
    out: Annotated[Path, typer.Option(help="Parquet file: item, label, split, vector.")],
    backbone: Backbone = None,
    block: Annotated[int, typer.Option(help="-1: pooled output; else that block's.")] = -1,
    seed: Seed = 0,
    channels: Channels = None,
    device: Device = "auto",
    images: Images = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Write a backbone's vectors to a Parquet file, to take them elsewhere."""
    import headstart

    result = headstart.features(
        data,
        backbone=backbone,
        out=out,
        block=block,
        seed=seed,
        device=device,
        channels=channels,
        **_reading(
            images=images,
            image_column=image_column,
            label_column=label_column,
            text_column=text_column,
        ),
    )
    if as_json:
        _emit(result)
    else:
        print(f"{result['n']} vectors of length {result['n_features']}: {out}")


@app.command()
@door
def show(
    bundle: Saved,
    what: Annotated[str, typer.Argument(help="filters, errors or embedding.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data, if they have moved since fit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a saved model learned: first filters, worst errors, embedding."""
    from headstart.verbs.show import show as draw

    result = draw(bundle, what, out=out, data=data)
    if as_json:
        _emit(result)
    else:
        for line in filter(None, [*result["lines"], result["out"]]):
            print(line)


@pretrain_app.command("glyphs")
@door
def pretrain_glyphs(
    out: Annotated[Path, typer.Option(help="Folder for glyphs.safetensors and .json.")],
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the embedded default again, from the fonts that matplotlib ships."""
    from headstart.pretraining.glyphs import pretrain_glyphs as run
    from headstart.progress import log

    given = _given(steps=steps)
    result = run(out, seed=seed, progress=lambda line: log.info("%s", line), **given)
    if as_json:
        _emit(result)
    else:
        for name, value in result.items():
            print(f"{name}: {value}")


def main() -> None:
    """Run the command line."""
    # Read when torch is loaded: its threads then sleep while they wait for each other. Spinning,
    # they take a core each from whatever else runs, and training took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    app(prog_name="headstart")
