"""This process's signals, handed on to the run that it watches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_to(receiver: Callable[[int], None], *further: int) -> Iterator[None]:
    """Inside the context, signals that ask this process to end go to the receiver instead, each once.

    A hangup that is ignored, as below ``nohup``, stays so. Off the main thread, which alone can take Python's signals,
    they stay with whoever handles them there.

    Args:
        receiver: Gets each signal's number.
        further: Signals to hand on besides, such as SIGQUIT.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [*STOPPING, *further]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    previous = {number: signal.signal(number, lambda number, _: receiver(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
