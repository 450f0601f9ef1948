"""Making a cell stop: interrupt, then SIGTERM, then SIGKILL, each after the one before had its time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from nbstep_runner.contract import CellState
from nbstep_runner.errors import NbstepError
from nbstep_runner.kernel.kernel import Kernel


class Escalation:
    """One effort to end the running cell, for one reason.

    Args:
        kernel: The cell's kernel.
        error: The verdict that the run ends with.
        state: What the cell is called then.
        patience: Seconds that an interrupted cell has for its own cleanup.
        term_patience: Seconds from SIGTERM to SIGKILL.
    """

    def __init__(
        self, kernel: Kernel, error: NbstepError, state: CellState, *, patience: float, term_patience: float
    ) -> None:
        self.error = error
        self.state = state
        start = time.monotonic()
        self._steps: list[tuple[float, Callable[[], None]]] = [
            (start, kernel.interrupt),
            (start + patience, lambda: kernel.process.signal(signal.SIGTERM)),
            (start + patience + term_patience, lambda: kernel.process.signal(signal.SIGKILL)),
        ]

    @property
    def next_at(self) -> float | None:
        """When the next step is due, by the monotonic clock."""
        return self._steps[0][0] if self._steps else None

    def advance(self, now: float) -> None:
        """Take the steps that are due."""
        while self._steps and self._steps[0][0] <= now:
            self._steps.pop(0)[1]()
