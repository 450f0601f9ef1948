"""JSON as kernels write it: ``NaN``, lone surrogates and bytes that are not UTF-8 occur, and are not lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decode(data: bytes | memoryview) -> Any:
    """The value; what is not text becomes the replacement character.

    Raises:
        ValueError: It is not JSON at all.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _without_surrogates(json.loads(bytes(data).decode("utf-8", "replace")))


def _without_surrogates(value: Any) -> Any:
    """Half of a surrogate pair cannot be written as UTF-8 again."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return value
