"""Descriptors that are kept for the end of a run whose notebook lowers its limit on open files for good.

A process may open only numbers below that limit, and by the time that a notebook lowers it the lowest ones are in use.
This module imports nothing of ours.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import Final

_COUNT: Final = 16
"""What saving a run opens at one time, its threads together."""
_SPARED: Final = 64
"""Below this limit no kernel starts (``open_files``), and all descriptors are needed to say so."""
_kept: Final[list[int]] = []


def keep_some() -> None:
    """Take the lowest numbers that are free; to be called before anything else is opened.

    Standard input's is kept as well: the end of a run reads nothing from it, and it is the last that a low limit takes.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _SPARED:
        return
    with suppress(OSError):  # others have what is left
        while len(_kept) < _COUNT:
            _kept.append(os.open(os.devnull, os.O_RDONLY))
    if 0 not in _kept:
        _kept.append(0)


def release() -> None:
    """Let them be opened by whoever needs them."""
    while _kept:
        os.close(_kept.pop())
