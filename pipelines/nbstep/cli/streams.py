"""Standard output and standard error whose readers may go before the command has ended."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import Any, ClassVar

from nbstep_runner.errors import StorageUnavailableError


class _Stream(io.FileIO):
    """A standard stream; once its reader has gone, what is written to it goes nowhere."""

    ends_with_reader: ClassVar[bool] = False

    def write(self, data: Any, /) -> int:
        """Write, to where it is read.

        Raises:
            SystemExit: Nobody reads it any more, and the command has nothing else to do.
            StorageUnavailableError: It is a file that cannot be written, such as on a full disk.
        """
        try:
            return super().write(data)
        except OSError as error:
            closed = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)  # a terminal
            self._lead_nowhere()
            if error.errno == errno.EPIPE or closed:
                if self.ends_with_reader:
                    raise SystemExit(0) from None
                return len(data)
            raise StorageUnavailableError(
                f"what is printed cannot be written: {error.strerror}",
                hint="Make room where it goes, and run it again.",
            ) from None

    def _lead_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def outlive_readers() -> None:
    """Let no exit code depend on who reads: ``nbstep wait RUN --json | true`` ends as the run did."""
    sys.stdout, sys.stderr = map(_outliving, (sys.stdout, sys.stderr))


def end_with_reader() -> None:
    """From now on a reader that goes ends the command, which does nothing but print, as ``nbstep logs -f`` does."""
    _Stream.ends_with_reader = True


def _outliving(stream: Any) -> Any:
    stream.flush()
    raw = io.BufferedWriter(_Stream(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(
        raw, stream.encoding, stream.errors, line_buffering=stream.line_buffering or stream.write_through
    )
