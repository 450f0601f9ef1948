"""Lines that wait for a slow reader, on disk."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_FILE_BYTES = 64 * 2**20
"""Past which a new file is begun, so that the disk gets back what was read."""
_PORTION_BYTES = 64 * 2**10


@dataclass(slots=True)
class _File:
    """A file without a name: it is gone when it is closed, however the process ends.

    Attributes:
        portions: Size and number of lines of what is still to be read, in order.
    """

    file: BinaryIO
    portions: deque[tuple[int, int]] = field(default_factory=deque)
    written: int = 0
    read: int = 0


class Overflow:
    """Lines, first in, first out. They take at most half of what the disk had free; what is read is given back.

    Args:
        folder: Where its files lie; ``None`` for the system's folder of temporary files.

    Attributes:
        lines: How many there are.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: deque[_File] = deque()
        self._size = 0
        self.lines = 0

    def __bool__(self) -> bool:
        return bool(self._files)

    def append(self, data: bytes, lines: int) -> bool:
        """Add whole lines; whether the disk has taken them."""
        try:
            last = self._last(len(data))
            if last is None:
                return False
            _write(last.file.fileno(), data, last.written)
        except OSError:
            return False
        last.written += len(data)
        if last.portions and last.portions[-1][0] + len(data) <= _PORTION_BYTES:
            size, count = last.portions.pop()
            last.portions.append((size + len(data), count + lines))
        else:
            last.portions.append((len(data), lines))
        self._size += len(data)
        self.lines += lines
        return True

    def pop(self) -> bytes:
        """The next lines, removed; there have to be some.

        Raises:
            OSError: The disk does not give them back; they are still there.
        """
        first = self._files[0]
        size, count = first.portions[0]
        data = _read(first.file.fileno(), size, first.read)
        first.portions.popleft()
        first.read += size
        self._size -= size
        self.lines -= count
        if not first.portions:
            self._files.popleft().file.close()
        return data

    def clear(self) -> int:
        """Let go of all lines; how many there were."""
        while self._files:
            self._files.popleft().file.close()
        lines, self.lines, self._size = self.lines, 0, 0
        return lines

    def _last(self, size: int) -> _File | None:
        """The file that takes so many bytes more; ``None`` where they would take more than they leave.

        Raises:
            OSError: There can be no file.
        """
        if not self._files or self._files[-1].written >= _FILE_BYTES:
            file = _File(tempfile.TemporaryFile(dir=self._folder, buffering=0))  # noqa: SIM115 - closed when it is read
            if not self._leaves_enough(file, size):
                file.file.close()
                return None
            self._files.append(file)
        return self._files[-1] if self._leaves_enough(self._files[-1], size) else None

    def _leaves_enough(self, file: _File, size: int) -> bool:
        disk = os.fstatvfs(file.file.fileno())
        return self._size + size <= disk.f_bavail * disk.f_frsize - size


def _write(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _read(descriptor: int, size: int, offset: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.pread(descriptor, size - len(data), offset + len(data))
        if not piece:
            raise OSError("the file is shorter than what was written to it")
        data += piece
    return data
