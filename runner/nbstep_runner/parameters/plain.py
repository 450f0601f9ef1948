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
