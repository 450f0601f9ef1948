"""A stream that somebody may or may not read."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import BinaryIO

CAPACITY = 16 * 1024 * 1024
"""Bytes held for a slow reader."""

_STALLED_AFTER = 0.1
_PATIENCE = 2.0
_PATIENCE_REGAINED = 0.1


class Outlet:
    """Writes to a stream from a thread of its own, so that a reader that stalls stalls nobody else.

    A reader that is merely slower than the run is waited for, for at most ``_PATIENCE`` seconds plus a tenth of the
    time that passes. Past that, or when it took nothing for ``_STALLED_AFTER`` seconds, lines are dropped until it has
    caught up. When the stream is broken, lines are dropped for good.
    """

    def __init__(self, stream: BinaryIO, capacity: int = CAPACITY) -> None:
        self._stream = stream  # kept, for a stream that nobody holds is closed
        self._write = _writer(stream)
        self._capacity = capacity
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._taken_at = self._patience_at = monotonic()
        self._patience = _PATIENCE
        self._dropped = 0
        self._closing = self._broken = False
        # A write to a pipe that nobody reads cannot be cancelled: only a daemon thread lets the process end.
        threading.Thread(target=self._drain, name="nbstep-log-stream", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines dropped since the last gap was told."""
        return self._dropped

    def offer(self, lines: bytes, count: int) -> None:
        """Pass on ``count`` lines, or drop them."""
        with self._changed:
            if self._dropped or not self._wait_for_room(len(lines)):
                self._dropped += count
            elif not self._broken:
                self._taken_at = self._taken_at if self._held else monotonic()
                self._chunks.append(lines)
                self._held += len(lines)
                self._changed.notify_all()

    def recovered(self) -> int:
        """How many lines the reader misses, told once, when it has caught up; from then on lines pass again."""
        with self._changed:
            if self._held > self._capacity // 4:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, timeout: float) -> bool:
        """Wait until all is written; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, max(0.0, timeout))

    def close(self) -> None:
        """End the thread, once what is held is written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _wait_for_room(self, size: int) -> bool:
        begun = monotonic()
        patience = min(_PATIENCE, self._patience + (begun - self._patience_at) * _PATIENCE_REGAINED)
        while not self._fits(size):
            left = min(begun + patience, self._taken_at + _STALLED_AFTER) - monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
        self._patience_at = monotonic()
        self._patience = max(0.0, patience - (self._patience_at - begun))
        return self._fits(size)

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self._capacity

    def _drain(self) -> None:
        while chunk := self._next():
            try:
                self._write(chunk)
            except (OSError, ValueError):  # the reader is gone, or the stream was closed
                self._break()
            else:
                self._took(len(chunk))

    def _next(self) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._closing)
            return self._chunks.popleft() if self._chunks else b""

    def _took(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._taken_at = monotonic()
            self._changed.notify_all()

    def _break(self) -> None:
        with self._changed:
            self._broken = True
            self._chunks.clear()
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
