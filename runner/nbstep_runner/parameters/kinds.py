"""The kinds of value that a parameter can take, and how a value becomes one of them.

A kind is the parsed form of an annotation or of a default. ``accept`` takes a tree of JSON's types whose leaves may
also be ``Plain`` text, dates, paths and secret references, and gives back the tree in the kind's own types. Rules:

* ``bool`` is not an ``int``; an ``int`` is a ``float``;
* plain text becomes what the kind says (``012`` is 12 to ``int`` and ``"012"`` to ``str``);
* quoted text is text: only dates, paths and the keys of mappings are read from it;
* a secret reference fits every kind, because nobody has read it yet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

from nbstep_runner.nonfinite import NAMES
from nbstep_runner.parameters.plain import Plain, Typed, float_if_exact, number, whole_number
from nbstep_runner.parameters.secret import SecretReference

_SHOWN_CHARACTERS = 40


class MismatchError(Exception):
    """A value does not fit a kind; ``reason`` says why, ``path`` where inside the value."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def inside(self, step: str) -> MismatchError:
        """The same, seen from the container."""
        return MismatchError(self.reason, f"[{step}]{self.path}")


@dataclass(frozen=True, slots=True)
class Kind:
    """Takes anything; dates and paths become text, as they do on their way through JSON.

    A kind with fields of its own is a dataclass too; one without inherits all that makes it a value, and costs a start
    no millisecond.

    Attributes:
        title: The kind in Python's notation, unless its parts say more.
        plain_schema: The same for its JSON Schema.
    """

    title: ClassVar[str] = "Any"
    plain_schema: ClassVar[Mapping[str, Any]] = {}

    def accept(self, value: Any) -> Any:
        """The value as this kind; raises ``MismatchError`` where it does not fit."""
        return value if isinstance(value, SecretReference) else self._convert(value)

    def _convert(self, value: Any) -> Any:
        match value:
            case Plain():
                return value.value
            case dt.date() | dt.time():
                return value.isoformat()
            case PurePath():
                return str(value)
            case list():
                return [self.accept(item) for item in value]
            case dict():
                return distinct(value, {ANY.accept(key): self.accept(item) for key, item in value.items()})
        return value

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the values it takes; empty where it takes anything."""
        return dict(self.plain_schema)

    def __str__(self) -> str:
        return self.title

    def mismatch(self, value: Any) -> MismatchError:
        """The error that says that a value is not of this kind."""
        return MismatchError(f"{shown(value)} is not of type {self}")


ANY = Kind()


class NoneKind(Kind):
    """``None`` alone."""

    __slots__ = ()
    title = "None"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "null"}

    def _convert(self, value: Any) -> None:
        words = ("None", "null", "~")
        is_none = value.text in words if isinstance(value, Typed) else ANY.accept(value) is None
        if not is_none:
            raise self.mismatch(value)


class BoolKind(Kind):
    """``True`` or ``False``; a command line may also say 1 or 0."""

    __slots__ = ()
    title = "bool"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "boolean"}

    def _convert(self, value: Any) -> bool:
        if isinstance(value, Typed) and value.text in ("0", "1"):
            return value.text == "1"
        found = Plain(value.text).value if isinstance(value, Plain) else value
        if isinstance(found, bool):
            return found
        raise self.mismatch(value)


@dataclass(frozen=True, slots=True)
class IntKind(Kind):
    """A whole number. ``lenient``, where only a default says so, takes a float too, which its schema does not tell."""

    title = "int"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "integer"}

    lenient: bool = False

    def _convert(self, value: Any) -> int | float:
        found = whole_number(value.text) if isinstance(value, Plain) else value
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        if self.lenient:
            return _float(self, value)
        raise self.mismatch(value)


class FloatKind(Kind):
    """A number; an int becomes a float unless that would change it.

    Text takes the JSON forms ``NaN``, ``Infinity`` and ``-Infinity`` only.
    """

    __slots__ = ()
    title = "float"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "number"}

    def _convert(self, value: Any) -> int | float:
        return _float(self, value)


class StrKind(Kind):
    """Text; plain text as it was written, so ``no`` and ``012`` stay what they look like. A YAML null is not text."""

    __slots__ = ()
    title = "str"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "string"}

    def _convert(self, value: Any) -> str:
        if isinstance(value, Plain) and (isinstance(value, Typed) or value.value is not None):
            return value.text
        if isinstance(value, PurePath):
            return str(value)
        if not isinstance(value, str):
            raise self.mismatch(value)
        return value


class DateKind(Kind):
    """A ``datetime.date`` from its ISO 8601 text."""

    __slots__ = ()
    title = "date"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date"}

    def _convert(self, value: Any) -> dt.date:
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value
        try:
            return dt.date.fromisoformat(_text_of(value))
        except ValueError:
            raise self.mismatch(value) from None


class DateTimeKind(Kind):
    """A ``datetime.datetime`` from its ISO 8601 text; a date alone is its midnight."""

    __slots__ = ()
    title = "datetime"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date-time"}

    def _convert(self, value: Any) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        try:
            text = value.isoformat() if isinstance(value, dt.date) else _text_of(value)
            return dt.datetime.fromisoformat(text)
        except ValueError:
            raise self.mismatch(value) from None


class PathText(str):
    """The text of a path, as it was given; Python's injected cell makes a ``pathlib.Path`` of it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class PathKind(Kind):
    """A path, from text. ``lenient``, where only a default says so, leaves a URI what it is: a ``Path`` damages it."""

    title = "Path"
    plain_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "minLength": 1}

    lenient: bool = False

    def _convert(self, value: Any) -> str:
        text = str(value) if isinstance(value, PurePath) else _text_of(value)
        if not text:
            raise self.mismatch(value)
        return text if self.lenient and "://" in text else PathText(text)


def shown(value: Any) -> str:
    """A value for a message: its type where it is a container, else at most forty characters of it."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if value is None or (isinstance(value, Plain) and value.value is None):
        return "null"
    text = value.text if isinstance(value, Plain) else repr(value)
    short = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
    return repr(short) if isinstance(value, Plain) else short


def distinct(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    """A mapping whose keys have been read, if they are still different."""
    if len(after) != len(before):
        raise MismatchError(f"{shown(before)} has two keys that mean the same")
    return after


def _text_of(value: Any) -> str:
    if isinstance(value, Plain):
        return value.text
    return value if isinstance(value, str) else ""


def _float(kind: Kind, value: Any) -> int | float:
    """A number as a float; the mismatch names ``kind``."""
    found = number(value.text) if isinstance(value, Plain) else value
    if isinstance(found, str):
        found = NAMES.get(found)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise kind.mismatch(value)
    return found if isinstance(found, float) else float_if_exact(found)
