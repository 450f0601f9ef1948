"""Work that goes on in a thread of its own while the run does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T], doing: str) -> Future[T]:
    """Begin work at once; no exit of the process waits for it.

    Args:
        work: What to do.
        doing: What it is, which names the thread.
    """
    done: Future[T] = Future()
    try:
        threading.Thread(target=_do, args=(work, done), name=f"nbstep: {doing}", daemon=True).start()
    except RuntimeError:  # the limit of processes leaves no room for a thread
        _do(work, done)
    return done


def _do(work: Callable[[], T], done: Future[T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asks
        done.set_exception(error)
