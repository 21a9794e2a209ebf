"""What a command is given without naming it: data, bundles, items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


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
