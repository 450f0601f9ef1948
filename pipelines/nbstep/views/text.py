"""Values, times and texts as people read them, in every view."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_LONGEST_VALUE: Final = 120


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
    """A value for people, as JSON has it; a text as it is."""
    return cut(value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode(), _LONGEST_VALUE)
