"""Numbers that JSON cannot write, in the results of a run: ``NaN``, ``Infinity`` and ``-Infinity``.

In JSON such a number is an object of one member, ``{"$number": "NaN"}``; in Python it is a ``float``.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeGuard

KEY: Final = "$number"
NAMES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def written(value: Any) -> Any:
    """A value in which every such number is the object that stands for it in JSON."""
    match value:
        case float() if not math.isfinite(value):
            return {KEY: name_of(value)}
        case list() | tuple():
            return [written(item) for item in value]
        case dict():
            return {key: written(item) for key, item in value.items()}
    return value


def name_of(value: float) -> str:
    """What such a number is called."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def as_float(value: float) -> float:
    """A number as a ``float``; an integer that is too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value has a place on an axis: a number, and no infinite one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(as_float(value))


def read(value: Any) -> Any:
    """A value from JSON, in which every such object is the number that it stands for."""
    match value:
        case {"$number": str(name)} if len(value) == 1 and name in NAMES:
            return NAMES[name]
        case list():
            return [read(item) for item in value]
        case dict():
            return {key: read(item) for key, item in value.items()}
    return value
