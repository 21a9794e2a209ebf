"""What a bundle was trained on, by the items' digests: so nothing is measured on it unawares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart.errors import BundleError
from headstart.facts import require_regular
from headstart.store import Digests, digest, written_aside

NAME = "trained.safetensors"

Numbers = npt.NDArray[np.uint64]


def save(folder: Path, digests: Digests) -> None:
    """Write the first 8 bytes of each digest into the bundle ``folder``."""
    from safetensors.numpy import save_file

    kept = np.unique(_numbers(digests))
    with written_aside(folder / NAME) as aside:
        save_file({"digests": kept}, aside, {"digest": digest(kept.tobytes()).hex()})


def among(folder: Path, digests: Digests) -> npt.NDArray[np.bool_]:
    """Return which of the items with these ``digests`` the bundle was trained on.

    None where it does not say, for it is of an earlier version.

    Raises:
        BundleError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(folder / NAME)
        with safe_open(folder / NAME, "np") as file:
            stated, kept = (file.metadata() or {}).get("digest"), file.get_tensor("digests")
    except FileNotFoundError:
        return np.zeros(len(digests), np.bool_)
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(f"{folder / NAME} is damaged: {error}") from error
    if stated not in (None, digest(kept.tobytes()).hex()):  # earlier versions state none
        raise BundleError(f"{folder / NAME} is damaged: its content does not match its digest")
    return np.isin(_numbers(digests), kept)


def _numbers(digests: Digests) -> Numbers:
    # NumPy drops the zeros at the end of such a text.
    return np.array([int.from_bytes(one.ljust(16, b"\0")[:8], "big") for one in digests], np.uint64)
