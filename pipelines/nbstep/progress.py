"""The view of a run for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbstep_runner.contract.events import Event

if TYPE_CHECKING:
    from rich.console import Console


class RunView:
    """Shows a run as it goes: output above, cells below."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console

    def handle(self, event: Event) -> None:
        """Take an event."""

    def feed(self, line: bytes) -> None:
        """Take one line of the runner's JSON log."""

    def close(self, timeout: float) -> None:
        """Draw what is left, for at most ``timeout`` seconds."""
