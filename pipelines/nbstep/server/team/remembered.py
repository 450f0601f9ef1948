"""Answers that hold for a while: a bounded number, the ones that were used last."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

MOST: Final = 10_000
T = TypeVar("T")


class Remembered(Generic[T]):
    """A cache of answers; for threads. An error is no answer: it is asked again.

    Args:
        seconds: How long an answer holds.
        most: How many are kept.
    """

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._answers: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """The answer of that key, asked if there is none that holds."""
        now = time.monotonic()
        with self._lock:
            found = self._answers.get(key)
            if found is not None and now < found[0]:
                self._answers.move_to_end(key)
                return found[1]
        answer = ask()
        with self._lock:
            self._answers[key] = (now + self._seconds, answer)
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer
