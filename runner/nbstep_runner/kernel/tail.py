"""The end of what a process has said."""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 64 * 1024
"""Bytes, at least, of what was longer."""


class Tail:
    """Takes what comes and keeps the end of it."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._cut = False

    def add(self, data: bytes) -> None:
        """Take what comes next."""
        self._pieces.append(data)
        self._size += len(data)
        while self._size - len(self._pieces[0]) >= KEPT:
            self._size -= len(self._pieces.popleft())
            self._cut = True

    @property
    def text(self) -> str:
        """All of it or, where it was cut, what follows its first line break; the second half where it has none.

        What comes before may begin with half of a secret, which nobody could mask.
        """
        data = b"".join(self._pieces)
        start = data.find(b"\n") + 1 or len(data) // 2
        return data[start if self._cut else 0 :].decode("utf-8", "replace")
