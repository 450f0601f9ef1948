"""Numbers that JSON cannot write, in the results of a run: ``NaN``, ``Infinity`` and ``-Infinity``.

In JSON such a number is an object of one member, ``{"$number": "NaN"}``; in Python it is a ``float``.
"""

from __future__ import annotations

import math
from typing import Any, Final

KEY: Final = "$number"
NAMES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def written(value: Any) -> Any:
    """A value in which every such number is the object that stands for it in JSON."""
    match value:
        case float() if not math.isfinite(value):
            return {KEY: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case list() | tuple():
            return [written(item) for item in value]
        case dict():
            return {key: written(item) for key, item in value.items()}
    return value


def as_float(value: float) -> float:
    """A number as a ``float``; an integer that is too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


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
