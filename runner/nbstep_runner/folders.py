"""Temporary folders of a run: private, and recognisable as the run's, so that they can be removed after its death."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

MARK_LENGTH: Final = 12
LONGEST_TEMPORARY_FOLDER: Final = 55
"""Longer ones leave no room for the name of a socket: ``sun_path`` holds 108 bytes (unix(7))."""
SHORT_FOLDER: Final = "/tmp"  # noqa: S108 - what is made in it is private


def make_folder(token: str, purpose: str, *, for_sockets: bool = False) -> Path:
    """A new folder of mode 0700 that belongs to the run of a token.

    Raises:
        OSError: No temporary folder can be written.
    """
    short = for_sockets and len(tempfile.gettempdir()) > LONGEST_TEMPORARY_FOLDER
    return Path(tempfile.mkdtemp(prefix=f"{_prefix(token)}{purpose}-", dir=SHORT_FOLDER if short else None))


def remove_folders(token: str) -> None:
    """Remove every folder of a run."""
    for parent in {tempfile.gettempdir(), SHORT_FOLDER}:
        for folder in Path(parent).glob(f"{_prefix(token)}*"):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(token: str) -> str:
    return f"nbstep-{token[:MARK_LENGTH]}-"
