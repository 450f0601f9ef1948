"""How often one caller may ask: a bucket each, which fills at an even rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import Final

from nbstep.server.problems import Problem

MOST: Final = 10_000
"""Callers that are remembered; one that is forgotten begins with a full bucket."""


class Rate:
    """At most so many requests of one caller in a minute, which may come all at once. For one thread.

    Args:
        per_minute: How many.
        what: What is counted, for people.
    """

    def __init__(self, per_minute: int, what: str) -> None:
        self._every = 60.0 / per_minute
        self._what = what
        self._empty_until: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one.

        Raises:
            Problem: It is one too many now.
        """
        now = time.monotonic()
        full_at = max(self._empty_until.get(caller, now), now) + self._every
        if full_at - now > 60.0 + self._every / 2:  # the half is for rounding
            raise Problem(
                status=429,
                reference="busy",
                detail=f"more {self._what} than one caller may make in a minute",
                hint="Come again a little later.",
                headers={"Retry-After": str(math.ceil(full_at - now - 60.0))},
            )
        self._empty_until[caller] = full_at
        self._empty_until.move_to_end(caller)
        while len(self._empty_until) > MOST:
            self._empty_until.popitem(last=False)
