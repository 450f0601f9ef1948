"""Numbers as text that a declared type has to read: Python's own notation, and YAML's words for what it lacks."""

from __future__ import annotations

import math
import re

from nbstep_runner.parameters.plain import MAX_NUMBER_CHARACTERS

_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")
_OTHER_BASE = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)")
_FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.?(inf|infinity|nan)", re.IGNORECASE)


def whole_number(text: str) -> int | None:
    """Python's own reading, so that a leading zero is no octal."""
    if len(text) > MAX_NUMBER_CHARACTERS:
        return None
    try:
        if _DECIMAL.fullmatch(text):
            return int(text.replace("_", ""))
        return int(text, 0) if _OTHER_BASE.fullmatch(text) else None
    except ValueError:
        return None


def number(text: str) -> int | float | None:
    """An int, or a float that its text does not overflow."""
    whole = whole_number(text)
    if whole is not None or len(text) > MAX_NUMBER_CHARACTERS:
        return whole
    if special := _SPECIAL.fullmatch(text):
        return float(special[1] + special[2])
    found = float(text.replace("_", "")) if _FRACTION.fullmatch(text) else math.inf
    return None if math.isinf(found) else found


def float_if_exact(whole: int) -> int | float:
    """The float that is equal to an int; the int where there is none."""
    try:
        return float(whole) if int(float(whole)) == whole else whole
    except OverflowError:
        return whole
