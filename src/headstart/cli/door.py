"""How a verb becomes a command: its options, its errors as one message, its streams.

Options come from `headstart.settings.table`. Results go to stdout, progress and notices to stderr.
Exit code 0: done; 1: it could not be done; 2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from headstart.errors import HeadstartError, UsageError, exit_code, nearest
from headstart.facts import finite
from headstart.settings.option import REQUIRED, Setting, Settings, table
from headstart.settings.table import VERBS
from headstart.settings.taking import described_one
from headstart.strategies.registry import OFFERED


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


class _Verb(TyperCommand):
    """A command whose usage names what it needs without braces, as its help does."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"\{(.+?)(?:\.\.\.)?\}", r"\1", piece) for piece in pieces]


app = typer.Typer(
    cls=_Verbs,
    help="Carry a pre-trained network over to your classes, and see which way works best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
pretrain_app = typer.Typer(cls=_Verbs, help="Train a backbone of your own.", no_args_is_help=True)
app.add_typer(pretrain_app, name="pretrain")
detect_app = typer.Typer(cls=_Verbs, help="Find things in pictures: boxes.", no_args_is_help=True)
app.add_typer(detect_app, name="detect")

Shown = Callable[[bool, dict[str, Any]], None]


JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def command(verb: str, to: typer.Typer = app, **arguments: Any) -> Callable[[Shown], Shown]:
    """Make a command of a function of (as_json, what was given), with the options of ``verb``."""

    def register(function: Shown) -> Shown:
        def called(as_json: bool, **given: Any) -> None:
            told = {key: value for key, value in given.items() if value is not None}
            _at_the_door(function, as_json, told)

        called.__doc__ = function.__doc__
        called.__signature__ = _signature(VERBS[verb], arguments)  # type: ignore[attr-defined]
        to.command(verb.split()[-1], cls=_Verb)(called)
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


def prepare_streams() -> None:
    """Let every name be printed in every locale, and let there be streams to print to."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - to the end of the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> None:
    from headstart.report.terminal import say

    with suppress(OSError, ValueError):  # where nobody listens, the exit code must do
        say(f"headstart: {message}", sys.stderr)
    raise typer.Exit(code)


def emit(payload: dict[str, Any]) -> None:
    """Print the one object that ``--json`` promises."""
    # ASCII only: valid in every locale, whatever the class names.
    print(json.dumps(finite(payload)))
