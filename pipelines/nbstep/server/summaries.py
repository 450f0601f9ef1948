"""What a list has room for of a run, and when a run began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from nbstep.backends.server.interface import Summary

VALUES_BYTES: Final = 2**16
"""How much a list tells of one run's values."""


def short(summary: Summary) -> Summary:
    """The same, as long as a list has room for it: one large or damaged record must not keep others from being told."""
    if has_room(summary.parameters, summary.results, summary.labels):
        return summary
    return msgspec.structs.replace(summary, parameters={}, results={}, labels={}, whole=False)


def has_room(*values: Mapping[str, Any]) -> bool:
    """Whether a list has room for a run's values."""
    try:
        return len(msgspec.json.encode(values)) <= VALUES_BYTES
    except RecursionError:
        return False


def started(summary: Summary) -> float:
    """When a run began, in seconds since the epoch; before all times if it has not."""
    try:
        return timestamp(datetime.fromisoformat(summary.started_at))
    except ValueError:
        return -math.inf


def timestamp(moment: datetime) -> float:
    """Seconds since the epoch, which every date has: the first and last days overflow in another zone."""
    try:
        return moment.timestamp()
    except (OverflowError, ValueError):
        return -math.inf if moment.year < 1970 else math.inf
