"""Descriptors that are kept for the end of a run whose notebook lowers its limit on open files for good.

A process may open only numbers below that limit, and by the time that a notebook lowers it the lowest ones are in use.
This module imports nothing of ours.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_COUNT: Final = 16
"""What saving a run opens at one time, its threads together."""
_kept: Final[list[int]] = []


def keep_some() -> None:
    """Take the lowest numbers that are free; to be called before anything else is opened."""
    with suppress(OSError):  # the limit is that low already
        while len(_kept) < _COUNT:
            _kept.append(os.open(os.devnull, os.O_RDONLY))


def release() -> None:
    """Let them be opened by whoever needs them."""
    while _kept:
        os.close(_kept.pop())
