"""Files for what the notebook prints (papermill's ``--stdout-file`` and ``--stderr-file``)."""

from __future__ import annotations

import os
from typing import TextIO

from nbstep_runner.contract import Event, StreamText
from nbstep_runner.errors import UsageError


class StreamFile:
    """Writes one stream's text to a file, as it comes; two may write to one file."""

    def __init__(self, stream: str, path: str) -> None:
        self._stream = stream
        try:
            self._file: TextIO = open(  # noqa: SIM115 - open for as long as the run; pathlib's takes no opener
                path, "w", encoding="utf-8", errors="backslashreplace", opener=_open_at_end
            )
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def handle(self, event: Event) -> None:
        """Take the stream's text.

        Raises:
            OSError: The file cannot take more; the fan-out tells of it and passes on nothing more.
        """
        if isinstance(event, StreamText) and event.stream == self._stream:
            self._file.write(event.text)
            self._file.flush()

    def close(self, timeout: float) -> None:
        """Close the file."""
        del timeout
        self._file.close()


def _open_at_end(path: str, flags: int) -> int:
    """Every write goes to the end of what is there by then, whoever wrote it."""
    return open_at_once(path, flags | os.O_APPEND)


def open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a pipe has to have its reader already. The opener of :func:`open`.

    Raises:
        OSError: It cannot be opened, or is a pipe that nobody reads.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def stream_files(stdout: str | None, stderr: str | None) -> tuple[StreamFile, ...]:
    """A sink for each stream that has a file.

    Raises:
        UsageError: A file cannot be written.
    """
    paths = {"stdout": stdout, "stderr": stderr}
    return tuple(StreamFile(name, path) for name, path in paths.items() if path)
