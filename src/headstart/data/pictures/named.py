"""Where the images are that a table names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from headstart.data import folders

_LOOK = 200


class Pictures:
    """The image files under a folder, found by name, with or without ending.

    A table may name ``train/cat.jpg``, ``cat.jpg`` or just ``cat``. Where several folders have one
    of that name, the folder counts in which most of the table's names are. A file outside of the
    folder is read only with ``anywhere``: a table may come from a stranger.
    """

    def __init__(self, root: Path | None, *, anywhere: bool = False) -> None:
        self._root = str(root or "")
        self._outside = anywhere or root is None
        self._folders: dict[str, dict[str, str]] = {}
        top = folders.entry_of(self._root)
        # Without a root nothing is looked for: a frame is not beside anything.
        for one in folders.walk(top, {top.key}) if root and top.is_folder else ():
            if isinstance(one, folders.Entry) and one.suffix in folders.SUFFIXES["image"]:
                names = self._folders.setdefault(os.path.dirname(one.path), {})
                names[one.name] = one.path
                names.setdefault(os.path.splitext(one.name)[0], one.path)

    def prefer(self, cells: Sequence[str]) -> None:
        """Look first in the folders in which most of ``cells`` are; leave out those with none."""
        few = [os.path.basename(_plain(cell)) for cell in cells[:_LOOK]]
        hits = Counter({at: sum(c in names for c in few) for at, names in self._folders.items()})
        self._folders = {at: self._folders[at] for at, count in hits.most_common() if count}

    def find(self, cell: str) -> str | None:
        """Return the path of the image that ``cell`` names, or None."""
        name = _plain(cell)
        if not name:
            return None
        base = os.path.basename(name)
        if base != name or not self._root:
            path = os.path.normpath(os.path.join(self._root, name))
            beside = self._folders.get(os.path.dirname(path), {}).get(base)
            there = self._may_be_read(path) and os.path.isfile(path)
            return beside or (path if there else self._anywhere(base))
        return self._anywhere(base)

    def fault(self, cell: str) -> str:
        """Return why there is no image that ``cell`` names."""
        if self._may_be_read(os.path.normpath(os.path.join(self._root, _plain(cell)))):
            return f"no such file: '{cell}'"
        return f"'{cell}' lies outside of {self._root}; give --images FOLDER, or --anywhere"

    def _may_be_read(self, path: str) -> bool:
        root, found = os.path.abspath(self._root), os.path.abspath(path)
        return self._outside or found.startswith(root.rstrip(os.sep) + os.sep)

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, str) and self.find(cell) is not None

    def _anywhere(self, base: str) -> str | None:
        found = (names[base] for names in self._folders.values() if base in names)
        return next(found, None)


def _plain(cell: str) -> str:
    return cell.strip().replace("\\", "/")
