"""What the hub's own client leaves to us: a soon word without a network, whole files. No torch."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from headstart.errors import BackboneError

WAIT = 5.0
"""Seconds to wait for the hub's first word."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def unreachable() -> str:
    """Return why the hub cannot be asked, empty where it answers, whatever that is.

    Its client tries five times for each file, which is minutes where there is no network.
    """
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=WAIT)
    except Exception as error:  # its sessions have come from three libraries so far
        reason = (str(error).splitlines() or [""])[0]
        return f"{constants.ENDPOINT}: {type(error).__name__}: {reason[:200]}"
    return ""


def require_stated(path: Path, sha256: str = "") -> None:
    """Refuse a file of the hub's cache whose content is not what its name there states.

    The cache names large files by the sha256 that the hub states of them; others pass.

    Args:
        path: of the file, or of a link into the cache.
        sha256: of its content, where that is known already.

    Raises:
        BackboneError: it is another; it is removed, so that it is fetched again.
    """
    blob = path.resolve()
    if not _SHA256.fullmatch(blob.name):
        return
    if not sha256:
        with blob.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 == blob.name:
        return
    with suppress(OSError):
        path.unlink()
        blob.unlink(missing_ok=True)
    raise BackboneError(
        f"{path.name} came with the sha256 {sha256[:12]}…, but the hub states {blob.name[:12]}…: "
        "it was damaged on its way, or is not what it should be. It was removed; fetch it again."
    )
