"""A folder for this run alone, removed at its end unless it keeps what could not be stored."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, Self

from nbstep_runner.errors import no_temporary_folder
from nbstep_runner.folders import make_folder
from nbstep_runner.stores import Source

LOG_NAME: Final = "run.log.jsonl"
KEPT_NAME: Final = "output.ipynb"


class Scratch:
    """A private temporary folder, as a context; ``token`` is the run's.

    Attributes:
        log: The file that gets the run's whole log.

    Raises:
        StorageUnavailableError: No temporary folder can be written.
    """

    def __init__(self, token: str) -> None:
        try:
            self.folder = make_folder(token, "run")
        except OSError as error:
            raise no_temporary_folder(error) from error
        self.log = self.folder / LOG_NAME
        self._kept = False

    def keep(self, notebook: Source) -> Path:
        """Move a notebook that is nowhere else into the folder, which stays; return its path.

        Raises:
            OSError: The folder does not take it.
        """
        path = self.folder / KEPT_NAME
        if isinstance(notebook, Path):
            shutil.move(notebook, path)
        else:
            path.write_bytes(notebook)
        self._kept = True
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)
