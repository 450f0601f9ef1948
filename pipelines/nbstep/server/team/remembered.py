"""Answers that hold for a while: a bounded number, the ones that were used last."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

MOST: Final = 10_000
T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """An answer, which may be that there is nothing, and until when it holds, in seconds of the monotonic clock."""

    value: T
    until: float


class Remembered(Generic[T]):
    """A cache of answers; for threads. An error is no answer: it is asked again.

    Args:
        seconds: How long an answer holds.
        most: How many are kept.
    """

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._answers: OrderedDict[Hashable, Answer[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """The answer of that key, asked if there is none that holds."""
        now = time.monotonic()
        found = self.held(key)
        if found is not None:
            return found.value
        value = ask()
        with self._lock:
            self._answers[key] = Answer(value, now + self._seconds)
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return value

    def held(self, key: Hashable) -> Answer[T] | None:
        """The answer of that key that still holds, without asking."""
        with self._lock:
            found = self._answers.get(key)
            if found is None or found.until <= time.monotonic():
                return None
            self._answers.move_to_end(key)
            return found
