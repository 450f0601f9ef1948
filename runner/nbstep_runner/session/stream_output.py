"""Standard output as a run's output: there is no record, no claim, and nobody to conflict with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from nbstep_runner.contract import RunResult
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.session.earlier import OutputPlace
from nbstep_runner.session.working_files import WorkingFiles
from nbstep_runner.stores import Source
from nbstep_runner.supervisor import Supervisor

DOING: Final = "writing the notebook to standard output"
PIPE_HINT: Final = "Let what reads it read to the end, or name a file or a URI as OUTPUT."


class StreamOutput:
    """The same steps as :class:`StoredOutput`; most of them have nothing to do."""

    places: Final = None

    def __init__(self, stream: BinaryIO, supervisor: Supervisor) -> None:
        self._stream = stream
        self._supervisor = supervisor

    def claim_early(self) -> None:
        """Nothing is claimed."""

    def await_turn(self, found: OutputPlace) -> None:
        """Nobody else writes there."""

    def answer(self, digest: str) -> RunResult | None:
        """There is no record to answer."""
        del digest
        return None

    def claim(self) -> None:
        """Nothing is claimed."""

    def describe(self) -> None:
        """Nothing is claimed."""

    def prepare_page(self) -> None:
        """A stream has no page."""

    def checkpointer(self, scratch: Path) -> None:
        """A stream takes no partial notebooks."""

    def prepared(self, data: bytes) -> None:
        """Write a notebook that was not run."""
        self.publish(data)

    def publish(self, data: Source, *, checkpointed: bool = False, at_once: bool = False) -> None:
        """Write the notebook.

        Raises:
            StorageUnavailableError: Nobody reads it to its end, or not within the grace period of a stop.
        """
        del checkpointed, at_once
        self._supervisor.call(partial(self._write, data), doing=DOING, despite_stop=True)

    def _write(self, data: Source) -> None:
        try:
            if isinstance(data, bytes):
                self._stream.write(data)
            else:
                with data.open("rb") as file:
                    shutil.copyfileobj(file, self._stream)
            self._stream.flush()
        except OSError as error:
            raise StorageUnavailableError(
                f"the notebook could not be written to standard output: {error.strerror or error}", hint=PIPE_HINT
            ) from error

    def collect(self, working: WorkingFiles, reported: Sequence[str], *, storing: bool) -> None:
        """A stream takes no files."""

    def complete(self) -> None:
        """It is written already."""

    def commit(self) -> None:
        """There is no record."""

    def store_log(self, path: Path) -> None:
        """The log is shown only."""
