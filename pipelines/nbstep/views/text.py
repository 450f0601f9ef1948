"""Text of a notebook made safe to show on a terminal."""

from __future__ import annotations

import re
from typing import Final

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
