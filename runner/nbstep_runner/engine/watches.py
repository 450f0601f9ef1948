"""What a running cell is watched for, and how it is made to stop: a kernel that hangs, or that will never reply."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final

from nbstep_runner.contract import CellState
from nbstep_runner.errors import NbstepError
from nbstep_runner.kernel.kernel import Kernel, Received
from nbstep_runner.kernel.specs import KernelSpec

DEFAULT_SECONDS: Final = 120.0
CHECKS: Final = 8
PATIENCE_SECONDS: Final = 1.0
"""How long a reply may come after its kernel is idle: they travel on two connections."""
ANSWER_SECONDS: Final = 60.0
"""How long a kernel that is idle may be silent before it counts as one that answers nothing any more."""


def stall_seconds(spec: KernelSpec, asked: float | None) -> float | None:
    """The stall deadline to use; ``None`` for none.

    Kernels built on ipykernel answer heartbeats from a thread that needs no interpreter lock, so silence means that the
    process is stopped or broken. Other kernels may answer only between cells: they get a deadline only if asked.
    """
    if asked is None:
        return DEFAULT_SECONDS if spec.runs_python else None
    return asked or None


class StallWatch:
    """Watches for signs of life: messages, heartbeats, CPU time used."""

    def __init__(self, kernel: Kernel, seconds: float | None) -> None:
        self._kernel = kernel
        self._seconds = seconds
        self._cpu = 0.0
        self._last_cpu_change = time.monotonic()
        self.next_at: float | None = None

    def begin(self) -> None:
        """A cell starts: what happened before does not count."""
        if self._seconds is not None:
            self._last_cpu_change = time.monotonic()
            self.next_at = self._last_cpu_change + self._seconds / CHECKS

    def stalled(self, now: float) -> bool:
        """Whether there was no sign of life for too long; asks for one when it is due."""
        if self._seconds is None or self.next_at is None or now < self.next_at:
            return False
        self.next_at = now + self._seconds / CHECKS
        self._kernel.ping()
        used = self._kernel.process.usage.cpu_seconds()
        if used is not None and used > self._cpu:
            self._cpu, self._last_cpu_change = used, now
        return now - max(self._kernel.last_sign_of_life, self._last_cpu_change) > self._seconds


class LostReply:
    """Watches a request whose kernel says that it is done with it (``idle``) and has not replied.

    ipykernel does so where an interrupt meets it just before or after the code of a cell. The kernel is asked another
    question then: requests of one channel are answered in their order, so its answer shows that no reply to the first
    will come, while a kernel that has only said too early that it is done gets the time that it takes, as long as it is
    not silent for :data:`ANSWER_SECONDS`.

    Args:
        kernel: Who was asked.
        request_id: What has no reply yet.

    Attributes:
        is_certain: No reply will come.
        next_at: When :meth:`take` has something to do though nothing comes, by the monotonic clock.
    """

    def __init__(self, kernel: Kernel, request_id: str) -> None:
        self._kernel = kernel
        self._request_id = request_id
        self._question: str | None = None
        self.is_certain = False
        self.next_at: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until :attr:`next_at`."""
        return None if self.next_at is None else max(0.0, self.next_at - time.monotonic())

    def take(self, heard: Received) -> None:
        """Look at what a wait brought; ask the kernel when it is time to."""
        now = time.monotonic()
        for message in heard.iopub:
            if (message.type, message.parent_id) == ("status", self._request_id):
                self.next_at = now + PATIENCE_SECONDS if message.content.get("execution_state") == "idle" else None
        if self._question is None:
            if self.next_at is not None and now >= self.next_at:
                self._question = self._kernel.request("kernel_info_request", {})
                self.next_at = now + ANSWER_SECONDS
        elif heard.iopub or heard.shell:
            self.next_at = now + ANSWER_SECONDS
            self.is_certain = any(message.parent_id == self._question for message in heard.shell)
        elif self.next_at is not None and now >= self.next_at:
            self.is_certain = True


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
