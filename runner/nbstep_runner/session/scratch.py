"""A folder for this run alone, removed at its end unless it keeps what could not be stored."""

from __future__ import annotations

import shutil
from typing import Self

from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.folders import make_folder


class Scratch:
    """A private temporary folder, as a context; ``token`` is the run's.

    Raises:
        StorageUnavailableError: No temporary folder can be written.
    """

    def __init__(self, token: str) -> None:
        try:
            self.folder = make_folder(token, "run")
        except OSError as error:
            raise StorageUnavailableError(
                f"no temporary folder can be written: {error.strerror or error}",
                hint="Free space there, or set TMPDIR to a folder that can be written.",
            ) from error
        self._kept = False

    def keep(self) -> None:
        """Leave the folder where it is: it holds the only copy of something."""
        self._kept = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)
