"""The log of a run: every event a line, complete on disk, and as it happens on a stream."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from nbstep_runner.contract.events import Event


class LogFormat(StrEnum):
    """How lines look on the stream; the file is always JSON lines."""

    JSON = "json"
    CONSOLE = "console"


class LogSink:
    """Writes a run's events as lines to ``path`` (JSON) and to ``stream`` (in ``format``).

    Args:
        run_id: The run.
        attempt: Its attempt, from 1.
        path: The local file that gets the complete log, or ``None``.
        stream: An unbuffered binary stream, such as ``sys.stdout.buffer.raw``, or ``None``.
        format: How the lines of the stream look.
        quiet: The stream shows warnings and errors only.
        location: Where the complete log will be found, for people; the file's path when empty.
    """

    def __init__(
        self,
        run_id: str,
        attempt: int,
        *,
        path: Path | None,
        stream: BinaryIO | None,
        format: LogFormat,  # noqa: A002 - the word users and the command line have for it
        quiet: bool = False,
        location: str = "",
    ) -> None:
        self._started = (run_id, attempt, path, stream, format, quiet, location)
        self.lines = 0
        self.bytes = 0
        self.complete = True
        self.warnings: tuple[str, ...] = ()

    def handle(self, event: Event) -> None:
        """Take an event to the log."""

    def close(self, timeout: float) -> None:
        """Write out what is held, for at most ``timeout`` seconds."""
