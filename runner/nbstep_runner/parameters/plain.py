"""Text whose type is not known yet: plain YAML scalars, and values typed on a command line.

``no``, ``012``, ``1e3`` and ``2024-01-01`` mean different things to different readers. Such text is kept as it was
written until the parameter's declared type says what it is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

# Python refuses to read or print longer integers; it also bounds the quadratic work of YAML's base 60 numbers.
MAX_NUMBER_CHARACTERS = 4300
EXPONENT_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
_SCALAR_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")
_OTHER_BASE = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)")
_FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.?(inf|infinity|nan)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plain:
    """A YAML scalar without quotes, or a JSON number, ``true``, ``false`` or ``null``."""

    text: str

    @property
    def value(self) -> Any:
        """What it is where no type is declared: YAML 1.1 without dates, as papermill reads it, but ``1e3`` is a float.

        A number longer than Python takes is text.
        """
        return yaml_value(self.text)


@dataclass(frozen=True, slots=True)
class Typed(Plain):
    """A value typed on a command line."""

    @property
    def value(self) -> Any:
        """What it is where no type is declared: ``True``, ``False``, ``None``, an integer, a float, else text.

        The rule is that of papermill's ``-p``.
        """
        words = {"True": True, "False": False, "None": None}
        if self.text in words:
            return words[self.text]
        for read in (int, _finite):
            try:
                return read(self.text)
            except ValueError:
                continue
        return self.text


def yaml_value(text: str) -> Any:
    """The value of a plain scalar: ``None``, a bool, an int, a float, or the text itself."""
    if len(text) > MAX_NUMBER_CHARACTERS:
        return text
    from yaml import ScalarNode

    loader: Any = _scalar_loader()
    tag = loader.resolve(ScalarNode, text, (True, False))
    if tag in _SCALAR_TAGS:
        try:
            return loader.construct_object(ScalarNode(tag, text))
        except (ValueError, LookupError, OverflowError):  # such as "0b_", which YAML's pattern admits
            return text
    return _finite(text) if EXPONENT_FLOAT.fullmatch(text) else text


def _finite(text: str) -> float | str:
    """The number that a text says; the text where no float is as large."""
    number = float(text)
    return text if math.isinf(number) and "inf" not in text.lower() else number


@cache
def _scalar_loader() -> yaml.SafeLoader:
    """One loader without a document: YAML's own patterns and conversions of scalars, nothing else."""
    import yaml

    return yaml.SafeLoader("")


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
