"""A readable name for each parameter set, the same each time: it names the set's folder, and so finds its record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nbstep.authoring.notebook import label_of

LONGEST: Final = 100
"""Characters; file systems allow 255 bytes, and people read fewer."""
HASH_LENGTH: Final = 8
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._+=,-]+")


def set_name(values: Mapping[str, Any]) -> str:
    """``lr=0.1,n=2``: what a set's values are, in characters that every store and shell takes.

    Where that loses something (other characters, great length, lists), a hash of the values keeps names apart.

    Args:
        values: Of JSON's types, by name; in the order in which they are to be read.
    """
    text = ",".join(f"{name}={_shown(value)}" for name, value in values.items())
    fit = _UNFIT.sub("-", text)
    if fit == text and len(fit) <= LONGEST and fit.strip(".") and all(map(_is_plain, values.values())):
        return fit
    room = LONGEST - HASH_LENGTH - 1
    return f"{fit[:room].rstrip('-,.')}-{_digest(values)}"


def run_id(name: str, output_uri: str) -> str:
    """Names the run of a set: the same for the same output, so that its record is found to be its own."""
    return f"{label_of(name, 40, 'run')}-{hashlib.sha256(output_uri.encode()).hexdigest()[:HASH_LENGTH]}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "+".join(map(_shown, value))
    return msgspec.json.encode(value).decode()


def _is_plain(value: Any) -> bool:
    """Whether the name tells the value: ``"1"`` and ``1`` look the same, and so do ``"a,b=1"`` and two values."""
    if isinstance(value, str):
        return not set(value) & set(",=") and value != "" and not _looks_typed(value)
    return isinstance(value, int | float | None)


def _looks_typed(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:HASH_LENGTH]
