"""States, values, times and texts as people read them, in every view."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from nbstep_runner.contract import RunResult, RunState

GROUNDS: Final = {
    RunState.SUCCEEDED: "#1a7f37",
    RunState.FAILED: "#b3261e",
    RunState.LOST: "#b3261e",
    RunState.CANCELLED: "#8a5a00",
    RunState.RUNNING: "#0b5cad",
    RunState.PENDING: "#57606a",
}
"""The ground of each state's badge, on which white is legible (WCAG AA)."""

_LONGEST_VALUE: Final = 120


def badge(state: RunState) -> str:
    """A state as HTML, legible on light and dark pages."""
    return f'<span class="nbstep-state" style="background:{GROUNDS[state]}">{state}</span>'


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


def gone_on_from(record: RunResult) -> str:
    """What a run went on from, for people; empty where it began anew."""
    found = record.continued_from
    if found is None:
        return ""
    whose = "" if found.run_id == record.run_id else f" of {found.run_id}"
    return f"generation {found.generation} of the state, saved by attempt {found.attempt}{whose}"
