"""How slow a transfer may be that is waited for, on the average.

Clients bound the time between two bytes alone, and a server that lets one through now and then would hold up a run
for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Final

from nbstep_runner.stores.content import BoundedBuffer
from nbstep_runner.stores.retrying import TransientError

SLOW_SECONDS: Final = 60.0
"""How long any transfer may take, however little comes."""
SLOWEST: Final = 16 * 1024
"""Bytes a second of what takes longer."""


def allowed(size: int) -> float:
    """The seconds that so many bytes may take."""
    return SLOW_SECONDS + size / SLOWEST


class TricklingError(TransientError):
    """A transfer is too slow; what it was asked for may still be on its way."""


class Pace:
    """Watches one transfer, which tells of each piece that has come."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._size = 0

    def arrived(self, size: int) -> None:
        """Note so many bytes more.

        Raises:
            TricklingError: They come too slowly.
        """
        self._size += size
        if (seconds := time.monotonic() - self._begun) > allowed(self._size):
            raise _too_slow(self._size, seconds)


def gathered_in_time(fill: Callable[[BoundedBuffer], object]) -> bytes:
    """The bytes that a client library writes into a buffer.

    A library may wait in one read until that is full, so a thread waits in it; one that is given up ends with
    the next bytes that come.

    Raises:
        TricklingError: They come too slowly.
    """
    buffer, done, begun = BoundedBuffer(), Future[None](), time.monotonic()

    def run() -> None:
        try:
            fill(buffer)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            done.set_exception(error)
        else:
            done.set_result(None)

    try:
        Thread(target=run, name="nbstep-read", daemon=True).start()
    except RuntimeError:  # the limit of processes leaves no room for a thread
        run()
    while True:
        size, seconds = buffer.tell(), time.monotonic() - begun
        if wait([done], max(0.0, allowed(size) - seconds)).done:
            done.result()
            return buffer.getvalue()
        if seconds > allowed(size):
            buffer.close()  # takes no more, so that the library gives up too, and lets its connection go
            raise _too_slow(size, seconds)


def _too_slow(size: int, seconds: float) -> TricklingError:
    return TricklingError(f"only {size:,} bytes of the object arrived in {seconds:.0f} s")
