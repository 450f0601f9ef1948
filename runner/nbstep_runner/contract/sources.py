"""Where a run's parameters come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class UnknownParameters(StrEnum):
    """What to do with a parameter that the notebook's parameters cell does not declare."""

    ERROR = "error"
    WARN = "warn"
    IGNORE = "ignore"


class ParameterKind(StrEnum):
    """Where a parameter source's values come from."""

    FILE = "file"
    YAML = "yaml"
    TEXT = "text"
    RAW = "raw"
    VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSource:
    """One source of parameters; make it with the class method that fits.

    A single type rather than a union, because it travels as JSON and stdlib dataclasses carry no tag.
    """

    kind: ParameterKind
    uri: str = ""
    name: str = ""
    text: str = ""
    mapping: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def file(cls, uri: str) -> ParameterSource:
        """A YAML or JSON file, anywhere that a store reaches (papermill's ``-f``)."""
        return cls(kind=ParameterKind.FILE, uri=uri)

    @classmethod
    def yaml(cls, text: str) -> ParameterSource:
        """A YAML mapping as text (papermill's ``-y``, and ``-b`` once decoded)."""
        return cls(kind=ParameterKind.YAML, text=text)

    @classmethod
    def typed(cls, name: str, text: str) -> ParameterSource:
        """A value typed on a command line (papermill's ``-p``).

        The declared type decides what it is; without one papermill's rules do: ``True``, ``False``, ``None``,
        integers and floats are recognised.
        """
        return cls(kind=ParameterKind.TEXT, name=name, text=text)

    @classmethod
    def raw(cls, name: str, text: str) -> ParameterSource:
        """A value that stays the text that it is (papermill's ``-r``)."""
        return cls(kind=ParameterKind.RAW, name=name, text=text)

    @classmethod
    def values(cls, mapping: dict[str, Any]) -> ParameterSource:
        """Values that already have their types, as a caller in Python gives them."""
        return cls(kind=ParameterKind.VALUES, mapping=mapping)
