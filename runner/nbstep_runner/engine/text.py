"""Text of bounded size that keeps its head and its tail; text without what drives a terminal."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

HEAD_SHARE: Final = 0.5
CONTROLS: Final = bytes(code for code in range(32) if chr(code) not in "\b\t\n\f\r")
ESCAPE: Final = len(r"\u0000") - 1
"""Bytes that a control character takes more in JSON than it is."""

PIECE: Final = 2**20
"""Characters that are looked at together, so that a large text costs no copy of it."""
CONTROL_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""CSI and OSC sequences and the two-character escapes (ECMA-48, sections 5.3 to 5.6)."""


class BoundedText:
    """Text as it arrives, joined once at the end; past the limit the middle is left out, with a line that says so.

    Args:
        limit: Bytes to keep, as :func:`written_size` counts them.
        where: Names the place that holds all of it, for the line in the middle.
    """

    def __init__(self, limit: int, where: str) -> None:
        self._head_room = int(limit * HEAD_SHARE)
        self._tail_limit = limit - self._head_room
        self._where = where
        self._head: list[str] = []
        self._tail: deque[tuple[str, int]] = deque()
        self._tail_size = 0
        self.kept = 0
        self.dropped = 0

    def append(self, text: str) -> None:
        """Add text at the end; :attr:`kept` counts the bytes since the start, :attr:`dropped` the characters."""
        size = written_size(text)
        if self._head_room >= size:
            self._head.append(text)
            self._head_room -= size
            self.kept += size
            return
        if self._head_room:
            cut = len(text) * self._head_room // size
            self._head.append(text[:cut])
            text, size = text[cut:], size - self._head_room
            self.kept += self._head_room
            self._head_room = 0
        self._tail.append((text, size))
        self._tail_size += size
        self.kept += size
        while (surplus := self._tail_size - self._tail_limit) > 0:
            self._cut(surplus)

    def _cut(self, surplus: int) -> None:
        """Leave out that many bytes at the start of the tail, or the first of its pieces."""
        first, size = self._tail[0]
        if size <= surplus:
            self._tail.popleft()
            cut, surplus = len(first), size
        else:
            cut = -(-len(first) * surplus // size)
            self._tail[0] = first[cut:], size - surplus
        self.dropped += cut
        self.kept -= surplus
        self._tail_size -= surplus

    def join(self) -> str:
        """The whole text, or its head and tail around a line that declares what is missing."""
        head, tail = "".join(self._head), "".join(text for text, _ in self._tail)
        if not self.dropped:
            return head + tail
        head = head[: head.rfind("\n") + 1] or head
        tail = tail[tail.find("\n") + 1 :] or tail
        said = f"[nbstep: about {self.dropped:,} characters are left out here; {self._where} has all of it]"
        return f"{head.rstrip(chr(10))}\n{said}\n{tail}"


def written_size(text: str) -> int:
    """Bytes that a text takes in the notebook, but for the escapes of quotes and of ends of lines.

    A control character takes six.
    """
    return sum(_written_size(text[start : start + PIECE]) for start in range(0, len(text), PIECE))


def _written_size(text: str) -> int:
    data = text.encode(errors="replace")
    return len(data) + ESCAPE * (len(data) - len(data.translate(None, CONTROLS)))


def without_ansi(text: str) -> str:
    """The text without control sequences."""
    return CONTROL_SEQUENCE.sub("", text) if "\x1b" in text else text
