"""Values, times and texts as people read them, in every view."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

_LONGEST_VALUE: Final = 120
_HIDDEN: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks that change the direction of text
    "\u2028\u2029"  # line ends that only some readers see
    "\ufff9-\ufffb"  # annotations, which hide text
    "\ud800-\udfff"  # halves of surrogate pairs, which no encoding can say
    "]"
)


def visible(text: str) -> str:
    """The text with an escape for each character that would drive a terminal or hide, end or turn text around.

    Newlines and tabs stay.
    """
    return text if text.isprintable() else _HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)


def visible_line(text: str) -> str:
    """As :func:`visible`, on one line: a newline is an escape too."""
    return visible(text).replace("\n", "\\n")


def duration(seconds: float, digits: int = 0) -> str:
    """Seconds for people: ``0.25 s``, ``59 s``, ``3 min 5 s``, ``2 h 0 min``; ``digits`` below ten seconds."""
    if seconds < 60:
        return f"{seconds:.{digits if seconds < 10 else 0}f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def cut(text: str, length: int) -> str:
    """The beginning of a text that is too long."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shown(value: Any) -> str:
    """A value for people, as JSON has it; a text, and a number that JSON cannot write, as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return cut(value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode(), _LONGEST_VALUE)
