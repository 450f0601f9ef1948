"""Telling a kernel that hangs from one that is busy."""

from __future__ import annotations

import time
from typing import Final

from nbstep_runner.kernel.kernel import Kernel
from nbstep_runner.kernel.specs import KernelSpec

DEFAULT_SECONDS: Final = 120.0
CHECKS: Final = 8


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
