"""The limit on open files, which a notebook can lower for the process that runs it."""

from __future__ import annotations

import resource
from contextlib import suppress


class OpenFiles:
    """Keeps the limit as it was when this was made.

    libzmq ends the whole process (SIGABRT) where it waits for more descriptors than the process may have open, so the
    limit is looked at before each of its calls that may wait. A hard limit that was lowered can be raised by nobody
    without ``CAP_SYS_RESOURCE``.
    """

    def __init__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def keep(self) -> None:
        """Put the limit back if somebody has changed it."""
        if resource.getrlimit(resource.RLIMIT_NOFILE) != self._limits:
            with suppress(OSError, ValueError):
                hard = min(self._limits[1], resource.getrlimit(resource.RLIMIT_NOFILE)[1], key=_as_number)
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(self._limits[0], hard, key=_as_number), hard))


def _as_number(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit
