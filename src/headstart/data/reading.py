"""From a path to a data set, by looking at what is there."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from headstart.data import folders
from headstart.data.dataset import Dataset, Kind
from headstart.errors import DataError


def read(
    source: str | Path,
    *,
    images: Path | None = None,
    text_column: str | Sequence[str] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    kind: Kind | None = None,
) -> Dataset:
    """Return the data set at ``source``; nothing is decoded yet."""
    path = Path(source).expanduser()
    if not path.exists():
        raise _missing(path)
    return folders.read_folders(path, kind)


def _missing(path: Path) -> DataError:
    parent = path.parent
    siblings = [one.name for one in parent.iterdir()] if parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=1)
    hint = f"; did you mean '{parent / near[0]}'?" if near else "."
    return DataError(f"no such file or folder: '{path}'{hint} {folders.LAYOUTS}")
