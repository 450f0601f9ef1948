"""A run's state as a badge that is legible on light and dark pages."""

from __future__ import annotations

from typing import Final

from nbstep_runner.contract import RunState

GROUNDS: Final = {
    RunState.SUCCEEDED: "#1a7f37",
    RunState.FAILED: "#b3261e",
    RunState.LOST: "#b3261e",
    RunState.CANCELLED: "#8a5a00",
    RunState.RUNNING: "#0b5cad",
    RunState.PENDING: "#57606a",
}
"""The ground of each state's badge."""


def badge(state: RunState) -> str:
    """A state, legible on any page."""
    return f'<span class="nbstep-state" style="background:{GROUNDS[state]}">{state}</span>'
