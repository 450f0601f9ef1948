"""Terminal control sequences, taken out of text that is read as data."""

from __future__ import annotations

import re
from typing import Final

SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""CSI and OSC sequences and the two-character escapes (ECMA-48, sections 5.3 to 5.6)."""


def without_ansi(text: str) -> str:
    """The text without control sequences."""
    return SEQUENCE.sub("", text) if "\x1b" in text else text
