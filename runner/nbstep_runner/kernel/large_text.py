"""A large printed text, decoded a piece at a time: its message is in memory once, its text never whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from nbstep_runner.kernel import kernel_json

LARGE: Final = 4 * 2**20
PIECE: Final = 2**20
LONGEST_ESCAPE: Final = 12
"""Of a JSON string: a surrogate pair, written as two escapes of six bytes."""
START: Final = re.compile(rb'\s*\{\s*"name":\s*("[a-z]+"),\s*"text":\s*"')
"""How ipykernel writes a stream message; any other form is decoded whole."""
LAST_ESCAPE: Final = re.compile(rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\[^\\]*\Z")
"""Of a piece, with the first half of a surrogate pair."""
END: Final = re.compile(rb'"\s*\}\s*\Z')


@dataclass(frozen=True, slots=True)
class LargeText:
    """The text inside the bytes of a stream message's content, from ``start`` to ``end``."""

    content: memoryview
    rest: dict[str, Any]
    start: int
    end: int

    @classmethod
    def of(cls, content: memoryview) -> Self | None:
        """The large text of a content; ``None`` where it is small or written in another way."""
        if len(content) < LARGE:
            return None
        start = START.match(content)
        tail = END.search(content, len(content) - LONGEST_ESCAPE)
        if start is None or tail is None:
            return None
        return cls(content, {"name": kernel_json.decode(start[1])}, start.end(), tail.start())

    def pieces(self) -> Iterator[str]:
        """The text in order."""
        position = self.start
        while position < self.end:
            text, position = self._piece(position)
            yield text

    def _piece(self, start: int) -> tuple[str, int]:
        """The text from ``start`` on, and where it ends: at the first place where a string can be cut.

        A cut within an escape sequence, a surrogate pair or a character leaves what is not JSON, so the last escape is
        left to the next piece. Text that has no place to cut is not valid itself: then the rest of it is decoded whole,
        leniently.
        """
        ideal = min(start + PIECE, self.end)
        if ideal < self.end and (escape := LAST_ESCAPE.search(self.content, ideal - LONGEST_ESCAPE, ideal)):
            ideal = escape.start()
        for cut in range(ideal, max(start, ideal - LONGEST_ESCAPE), -1):
            try:
                return str(kernel_json.decode_strictly(self._string(start, cut))), cut
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return kernel_json.decode(self._string(start, self.end)), self.end

    def _string(self, start: int, end: int) -> bytes:
        return b'"' + self.content[start:end] + b'"'
