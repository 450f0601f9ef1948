"""The limit on open files: whether a run can do with it, and a notebook that lowers it for the process that runs it."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

from nbstep_runner.errors import KernelUnavailableError

NEEDED: Final = 64
"""Of which a Python kernel has 60 before its first cell; with fewer, libzmq ends the process that wants one more."""


def ensure_enough() -> None:
    """Raise the limit as far as a kernel and its run need, where that is allowed.

    Raises:
        KernelUnavailableError: It is not: no kernel could start here.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _as_number(soft) >= NEEDED:
        return
    with suppress(OSError, ValueError):  # the hard limit is root's to raise
        resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED, max(NEEDED, hard, key=_as_number)))
        return
    raise KernelUnavailableError(
        f"no kernel can be started with {soft} open files: a run needs {NEEDED}",
        hint="Raise the limit on open files (ulimit -n) where the run takes place.",
    )


class OpenFiles:
    """Keeps the limit as it was when this was made.

    libzmq ends the whole process (SIGABRT) where it waits for more descriptors than the process may have open, so the
    limit is looked at before each of its calls that may wait. A hard limit that was lowered can be raised by nobody
    without ``CAP_SYS_RESOURCE``.
    """

    def __init__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def keep(self) -> None:
        """Put the limit back if somebody has changed it, as far as that is allowed."""
        if resource.getrlimit(resource.RLIMIT_NOFILE) == self._limits:
            return
        soft, hard = self._limits
        highest = min(hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1], key=_as_number)
        for limits in (self._limits, (min(soft, highest, key=_as_number), highest)):
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                return


def _as_number(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit
