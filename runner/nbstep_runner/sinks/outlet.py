"""The log's stream, written from a thread of its own: whoever reads it slowly, or not at all, holds nobody up."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from nbstep_runner.sinks.overflow import Overflow

CAPACITY = 4 * 2**20
"""Bytes held in memory for a slow reader; what is more waits on disk."""

GIVEN_UP_AFTER = 5.0
"""Seconds in which a reader has to take something, once nothing more will come."""

_PIECE = 64 * 2**10


class Outlet:
    """Writes to a stream from a thread of its own, so that a reader that stalls stalls nobody else.

    What the reader has not taken waits in memory up to ``capacity`` bytes, and past them on disk. Lines that the disk
    does not take either are dropped until the reader has caught up. When the stream is broken, lines are dropped for
    good.

    Args:
        stream: A binary stream.
        folder: Where what waits on disk lies; ``None`` for the system's folder of temporary files.
    """

    def __init__(self, stream: BinaryIO, folder: Path | None = None, capacity: int = CAPACITY) -> None:
        self._stream = stream  # kept, for a stream that nobody holds is closed
        self._write = _writer(stream)
        self._capacity = capacity
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._overflow = Overflow(folder)
        self._held = 0
        self._changed = threading.Condition()
        self._taken_at = monotonic()
        self._dropped = 0
        self._closing = self._broken = False
        # A write to a pipe that nobody reads cannot be cancelled: only a daemon thread lets the process end.
        threading.Thread(target=self._drain, name="nbstep-log-stream", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines dropped since the last gap was told."""
        return self._dropped

    def offer(self, lines: bytes, count: int) -> None:
        """Pass on ``count`` whole lines, or drop them."""
        with self._changed:
            if self._broken:
                return
            if self._dropped or not self._keep(lines, count):
                self._dropped += count
            self._changed.notify_all()

    def recovered(self) -> int:
        """How many lines the reader misses, told once, when it has caught up; from then on lines pass again."""
        with self._changed:
            if self._overflow or self._held > self._capacity // 4:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, until: float) -> bool:
        """Wait until all is written, but not for a reader that takes nothing; whether all is.

        Args:
            until: How long at most, by the monotonic clock.
        """
        begun = monotonic()
        with self._changed:
            while self._held or self._overflow:
                left = min(until, max(begun, self._taken_at) + GIVEN_UP_AFTER) - monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def give_up(self) -> int:
        """Drop what waits, and let lines pass again; how many the reader misses.

        It may still take what it has begun to take.
        """
        with self._changed:
            missed = self._dropped + sum(count for _, count in self._chunks) + self._overflow.clear()
            self._held -= sum(len(chunk) for chunk, _ in self._chunks)
            self._chunks.clear()
            self._dropped = 0
            return missed

    def close(self) -> None:
        """End the thread, once what is held is written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _keep(self, lines: bytes, count: int) -> bool:
        if self._overflow or (self._held and self._held + len(lines) > self._capacity):
            return self._overflow.append(lines, count)
        self._chunks.append((lines, count))
        self._held += len(lines)
        return True

    def _drain(self) -> None:
        while chunk := self._next():
            try:
                for start in range(0, len(chunk), _PIECE):
                    self._write(chunk[start : start + _PIECE])
                    self._taken_at = monotonic()
            except (OSError, ValueError):  # the reader is gone, or the stream was closed
                self._break()
            else:
                self._took(len(chunk))

    def _next(self) -> bytes:
        """What is next to be written, still counted as held; empty at the end."""
        with self._changed:
            while self._changed.wait_for(lambda: self._chunks or self._overflow or self._closing):
                if self._chunks:
                    return self._chunks.popleft()[0]
                if not self._overflow:
                    break
                if lines := self._fetched():
                    return lines
            return b""

    def _fetched(self) -> bytes:
        """The oldest lines on disk, held from now on; all that it cannot give back is dropped."""
        try:
            lines = self._overflow.pop()
        except OSError:
            self._dropped += self._overflow.clear()
            return b""
        self._held += len(lines)
        return lines

    def _took(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def _break(self) -> None:
        with self._changed:
            self._broken = True
            self._chunks.clear()
            self._overflow.clear()
            self._held = self._dropped = 0
            self._changed.notify_all()


def _writer(stream: BinaryIO) -> Callable[[bytes], object]:
    try:
        return partial(_write_to, stream.fileno())
    except (OSError, ValueError, AttributeError):  # not a file of the operating system
        return stream.write


def _write_to(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # another owner of the pipe made it non-blocking
            ready = select.poll()
            ready.register(fd, select.POLLOUT)
            ready.poll()
