"""Files for what the notebook prints (papermill's ``--stdout-file`` and ``--stderr-file``)."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from nbstep_runner.contract import Event, StreamText
from nbstep_runner.errors import UsageError


class StreamFile:
    """Writes one stream's text to a file, as it comes; a file that cannot take more is given up."""

    def __init__(self, stream: str, path: str) -> None:
        self._stream = stream
        try:
            self._file: TextIO | None = Path(path).open(  # noqa: SIM115 - open for as long as the run
                "w", encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def handle(self, event: Event) -> None:
        """Take the stream's text."""
        if self._file is None or not isinstance(event, StreamText) or event.stream != self._stream:
            return
        try:
            self._file.write(event.text)
            self._file.flush()
        except OSError:
            self._file = None

    def close(self, timeout: float) -> None:
        """Close the file."""
        del timeout
        if self._file is not None:
            self._file.close()


def stream_files(stdout: str | None, stderr: str | None) -> tuple[StreamFile, ...]:
    """A sink for each stream that has a file.

    Raises:
        UsageError: A file cannot be written.
    """
    paths = {"stdout": stdout, "stderr": stderr}
    return tuple(StreamFile(name, path) for name, path in paths.items() if path)
