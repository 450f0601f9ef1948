"""A file in scratch that takes what is too much for memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COPY_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the spool file."""

    offset: int
    size: int


Part = bytes | Segment


class Spool:
    """An append-only file; its parts can be read from any thread while it grows."""

    def __init__(self, folder: Path) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="notebook-", suffix=".spool", dir=folder)
        self.path = Path(path)
        self.size = 0

    def append(self, data: bytes | memoryview) -> Segment:
        """Write all of the data at the end.

        Raises:
            OSError: It does not fit; what was written of it is cut off again.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        segment = Segment(self.size, len(data))
        self.size += len(data)
        return segment

    def read(self, segment: Segment) -> Iterator[bytes]:
        """The bytes of a part, a piece at a time.

        Raises:
            OSError: They cannot be read; somebody else has cut the file off.
        """
        offset, end = segment.offset, segment.offset + segment.size
        while offset < end:
            data = os.pread(self._descriptor, min(COPY_BYTES, end - offset), offset)
            if not data:
                raise OSError(f"{self.path} is shorter than what was written to it")
            offset += len(data)
            yield data

    def close(self) -> None:
        """Remove the file."""
        os.close(self._descriptor)
        self.path.unlink(missing_ok=True)
