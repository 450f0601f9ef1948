"""What a spec asks for that an older runner does not know: its fields that came after version 0.1.

Such a field is declared with ``field(default=..., metadata=since("0.2"))``. Two things follow from that one fact: what
``RunSpec.needs`` lists, and which fields the digest of the work leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Final

_SINCE: Final = "since"


@dataclass(frozen=True, slots=True)
class Need:
    """A field that has to be known, by its path (``deadlines.idle``), and the first version that knows it."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}>={self.version}" if self.version else self.name

    @classmethod
    def of(cls, text: str) -> Need:
        """The need that its text says; ``version`` is empty where it names none."""
        name, _, version = text.partition(">=")
        return cls(name, version)


def since(version: str) -> Mapping[str, str]:
    """The metadata of a field that ``version`` was the first to have."""
    return {_SINCE: version}


def needs_of(value: Any) -> Iterator[Need]:
    """The later fields of a dataclass, nested ones too, that are not at their default."""
    for path, field, current in _walk(value, ""):
        if _SINCE in field.metadata and not _is_default(field, current):
            yield Need(path, field.metadata[_SINCE])


def knows(value: Any, name: str) -> bool:
    """Whether a dataclass has the field of a need."""
    return any(path == name for path, _, _ in _walk(value, ""))


def lasting(value: Any) -> Any:
    """A value as plain data without later fields at their default, which say nothing that 0.1 did not mean."""
    if is_dataclass(value):
        later = {each.name for each in fields(value) if _SINCE in each.metadata}
        kept = (
            each for each in fields(value) if each.name not in later or not _is_default(each, getattr(value, each.name))
        )
        return {each.name: lasting(getattr(value, each.name)) for each in kept}
    return [lasting(each) for each in value] if isinstance(value, tuple) else value


def _walk(value: Any, prefix: str) -> Iterator[tuple[str, Field[Any], Any]]:
    for each in value if isinstance(value, tuple) else (value,):
        for field in fields(each) if is_dataclass(each) else ():
            current = getattr(each, field.name)
            yield prefix + field.name, field, current
            yield from _walk(current, f"{prefix}{field.name}.")


def _is_default(field: Field[Any], value: Any) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(value == default)
