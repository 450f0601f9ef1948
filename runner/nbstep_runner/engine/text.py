"""Text of bounded size that keeps its head and its tail."""

from __future__ import annotations

from collections import deque
from typing import Final

HEAD_SHARE: Final = 0.5


class BoundedText:
    """Text as it arrives, joined once at the end; past the limit the middle is left out, with a line that says so.

    Sizes are counted in characters, which is exact for ASCII and otherwise at most a quarter of the bytes.

    Args:
        limit: Characters to keep.
        where: Names the place that holds all of it, for the line in the middle.
    """

    def __init__(self, limit: int, where: str) -> None:
        self._head_room = int(limit * HEAD_SHARE)
        self._tail_limit = limit - self._head_room
        self._where = where
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self.kept = 0
        self.dropped = 0

    def append(self, text: str) -> None:
        """Add text at the end; :attr:`kept` and :attr:`dropped` count the characters since the start."""
        dropped_before = self.dropped
        self._append(text)
        self.kept += len(text) - (self.dropped - dropped_before)

    def _append(self, text: str) -> None:
        if self._head_room >= len(text):
            self._head.append(text)
            self._head_room -= len(text)
            return
        if self._head_room:
            self._head.append(text[: self._head_room])
            text = text[self._head_room :]
            self._head_room = 0
        self._append_tail(text)

    def _append_tail(self, text: str) -> None:
        if len(text) > self._tail_limit:
            self.dropped += len(text) - self._tail_limit
            text = text[len(text) - self._tail_limit :]
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size > self._tail_limit:
            self._cut(self._tail_size - self._tail_limit)

    def _cut(self, surplus: int) -> None:
        first = self._tail[0]
        if len(first) <= surplus:
            self._tail.popleft()
            cut = len(first)
        else:
            self._tail[0] = first[surplus:]
            cut = surplus
        self.dropped += cut
        self._tail_size -= cut

    def join(self) -> str:
        """The whole text, or its head and tail around a line that declares what is missing."""
        if not self.dropped:
            return "".join([*self._head, *self._tail])
        head, tail = "".join(self._head), "".join(self._tail)
        head = head[: head.rfind("\n") + 1] or head
        tail = tail[tail.find("\n") + 1 :] or tail
        said = f"[nbstep: about {self.dropped:,} characters are left out here; {self._where} has all of it]"
        return f"{head.rstrip(chr(10))}\n{said}\n{tail}"
