"""The lines of a run's log on this machine's disk: written by one thread, read by any number at their own pace."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from typing import Final

CHUNK: Final = 2**16
"""Bytes that a reader takes at once, unless a single line is longer."""
_HEAD: Final = struct.Struct("!QQI")
_LARGEST: Final = 2**63

Number = tuple[int, int]
"""The attempt of a line and its place there, both from 1: what lines are ordered by."""
Entry = tuple[Number | None, bytes]
"""A line, and its number where it has one."""


def is_number(attempt: int | None, seq: int | None) -> bool:
    """Whether these two number a line; what a damaged log says may not."""
    return attempt is not None and seq is not None and 0 < attempt < _LARGEST and 0 < seq < _LARGEST


class Spool:
    """A file without a name that only grows; a reader costs no more than its own position.

    ``end`` is the position after the last line that is there whole.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="nbstep-events-", buffering=0)  # noqa: SIM115 - it closes with the spool
        self.end = 0

    def add(self, number: Number | None, line: bytes) -> None:
        """Add a line behind all others."""
        entry = _HEAD.pack(*(number or (0, 0)), len(line)) + line
        written = 0
        while written < len(entry):
            written += os.pwrite(self._file.fileno(), entry[written:], self.end + written)
        self.end += len(entry)

    def read(self, position: int) -> tuple[list[Entry], int]:
        """Some of the lines from a position on, and the position after them; none at the end.

        Args:
            position: 0, or one that an earlier call returned.
        """
        data = self._bytes(position, CHUNK)
        found = list(_entries(data))
        if data and not found:
            *_, length = _HEAD.unpack_from(data)
            found = list(_entries(self._bytes(position, _HEAD.size + length)))
        return found, position + sum(_HEAD.size + len(line) for _, line in found)

    def _bytes(self, position: int, most: int) -> bytes:
        return os.pread(self._file.fileno(), min(most, self.end - position), position)


def _entries(data: bytes) -> Iterator[Entry]:
    """The lines that are whole in what was read."""
    begin = 0
    while begin + _HEAD.size <= len(data):
        attempt, seq, length = _HEAD.unpack_from(data, begin)
        begin += _HEAD.size + length
        if begin > len(data):
            return
        yield (attempt, seq) if attempt else None, data[begin - length : begin]
