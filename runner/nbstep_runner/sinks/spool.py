"""The local file that gets the complete log."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Spool:
    """Appends whole lines to a file; the first failure ends it, cut after its last whole line.

    Attributes:
        bytes: The size of the file, in whole lines.
        failure: What the operating system said when the file could no longer be written; empty while it can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.failure = ""
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._fail(error)

    def write(self, lines: bytes) -> bool:
        """Append lines; whether all of them are in the file."""
        if self._fd < 0:
            return False
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._fd, memoryview(lines)[written:])
        except OSError as error:
            self._fail(error)
            return False
        self.bytes += len(lines)
        return True

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                os.close(fd)

    def _fail(self, error: OSError) -> None:
        self.failure = error.strerror or type(error).__name__
        if self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, self.bytes)
        self.close()
