"""Characters that a reader does not see: they drive a terminal, or hide, end or turn text around."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks that change the direction of text
    "\u2028\u2029"  # line ends that only some readers see
    "\ufff9-\ufffb"  # annotations, which hide text
    "\ud800-\udfff"  # halves of surrogate pairs, which no encoding can say
    "]"
)


def escaped(hidden: str) -> str:
    """The escape that stands for such a character, as Python writes it."""
    code = ord(hidden)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
