"""A process that outlives the runner by a moment: should the runner be killed, it clears away what the runner made.

Without it a SIGKILL of the runner would leave the kernel and its children behind, except in a container, where they
end with PID 1.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Final

ALL_IS_WELL: Final = b"."


class Watchdog:
    """Forks at once, so it has to be made before the process has threads.

    Args:
        token: Marks, in ``NBSTEP_RUN_TOKEN``, the processes that belong to the run.
        beside: Descriptors that it must not hold open.
    """

    def __init__(self, token: str, *, beside: Iterable[int] = ()) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._writer, *beside):
                os.close(descriptor)
            _watch(reader, token)
        os.close(reader)

    def dismiss(self) -> None:
        """The run has cleaned up after itself: the watchdog goes without doing anything."""
        os.write(self._writer, ALL_IS_WELL)
        os.close(self._writer)
        os.waitpid(self.pid, 0)


def _watch(reader: int, token: str) -> None:
    """Wait for the runner's word or its death, in a session of its own, without its streams."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        if os.read(reader, 1) != ALL_IS_WELL:
            from nbstep_runner.folders import remove_folders
            from nbstep_runner.kernel.processes import kill_marked

            kill_marked(token)
            remove_folders(token)
    finally:
        os._exit(0)
