"""R: numbers are doubles, lists and mappings are lists."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from nbstep_runner.parameters.languages.base import (
    EXACT_DOUBLE,
    CannotHoldError,
    Language,
    unicode_escape,
    without_nul,
    words,
)

_MAX_BRACKETS = 45  # R's parser keeps at most 50 open
_MAX_CHARACTERS = 5000  # R takes at most 10,000 in a literal with Unicode escapes
_LONG_DOUBLE_BITS = 64


class R(Language):
    r"""Text is escaped with ``\u`` alone: R refuses to mix it with ``\x``, and ``\x`` means bytes of the locale."""

    identifier = re.compile(r"(?:[A-Za-z]|\.(?![0-9]))[A-Za-z0-9._]*")
    reserved = words(
        "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_complex_ "
        "NA_character_ in ..."
    )
    null = "NULL"
    numeric = staticmethod(unicode_escape)
    special = ("NaN", "Inf", "-Inf")
    truths = ("FALSE", "TRUE")
    listed = "list({})"
    secrets = (
        '(function(x) if (is.na(x)) stop("the secret is not set") else x)(Sys.getenv({0}, unset = NA))',
        (
            '(function(x) {{ Encoding(x) <- "UTF-8"; sub("\\n$", "", x) }})'
            "(readChar({0}, file.info({0})$size, useBytes = TRUE))"
        ),
    )
    beyond_doubles = "an integer beyond 2^53 exactly"

    def written_name(self, name: str) -> str:
        """No name of R starts with an underscore; papermill's rule is to leave it out."""
        return name.lstrip("_")

    def _assignment(self, name: str, value: Any) -> str:
        if _brackets(value) > _MAX_BRACKETS:
            raise CannotHoldError(f"a value nested so deep that it takes more than {_MAX_BRACKETS} brackets")
        return super()._assignment(name, value)

    def _floating(self, value: float) -> str:
        """Decimal where R's reader, which rounds twice, ends at the same double; else hexadecimal, which is exact."""
        return repr(value) if _reads_back(value) else value.hex()

    def _text(self, value: str) -> str:
        if value.isascii() or len(value) <= _MAX_CHARACTERS:
            return super()._text(without_nul(value))
        parts = (value[start : start + _MAX_CHARACTERS] for start in range(0, len(value), _MAX_CHARACTERS))
        return f"paste0({', '.join(self._text(part) for part in parts)})"

    def _mapping(self, value: dict[Any, Any]) -> str:
        keys = [self._key(key) for key in value]
        if _has_plain_names(value):
            pairs = zip(keys, value.values(), strict=True)
            return f"list({', '.join(f'{key} = {self._literal(item)}' for key, item in pairs)})"
        names = f"c({', '.join(keys)})" if keys else "character(0)"
        return f"structure(list({self._items(value.values())}), names = {names})"


def _has_plain_names(value: dict[Any, Any]) -> bool:
    """Whether the keys can be names of arguments, which are never empty and are in the locale's encoding."""
    return bool(value) and all(isinstance(key, str) and key and key.isascii() and key.isprintable() for key in value)


def _brackets(value: Any) -> int:
    """How many brackets are open at once in a value's literal, text aside."""
    if isinstance(value, dict):
        own = 1 if _has_plain_names(value) else 2
        return own + max(map(_brackets, value.values()), default=0)
    return 1 + max(map(_brackets, value), default=0) if isinstance(value, (list, tuple)) else 0


def _reads_back(value: float) -> bool:
    """Whether R reads ``repr(value)`` as the same double.

    R's ``R_strtod`` scales the digits by a power of ten in ``long double`` and rounds the result to double. That is
    followed here for the 64-bit mantissa of x86, and for platforms whose ``long double`` is a double.
    """
    decimal = Decimal(repr(abs(value)))
    digits, exponent = int("".join(map(str, decimal.as_tuple().digits))), int(decimal.as_tuple().exponent)
    if digits >= EXACT_DOUBLE or abs(exponent) > 22:  # 10^22 is the last power of ten that is a double
        return False
    exact = Fraction(digits) * Fraction(10) ** exponent
    return float(_rounded(exact, _LONG_DOUBLE_BITS)) == abs(value)


def _rounded(exact: Fraction, bits: int) -> Fraction:
    """The nearest binary fraction with so many significant bits, ties to even."""
    if not exact:
        return exact
    shift = bits - (exact.numerator.bit_length() - exact.denominator.bit_length())
    scaled = exact * Fraction(2) ** shift
    if scaled >= 2**bits:
        scaled, shift = scaled / 2, shift - 1
    return round(scaled) / Fraction(2) ** shift


LANGUAGE = R("R")
