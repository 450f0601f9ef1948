"""The base of every language: valid names, literals of each kind of value, secrets read at run time."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.jsonable import in_order
from nbstep_runner.parameters.secret import SecretReference

INT32 = 2**31
INT64 = 2**63
EXACT_DOUBLE = 2**53  # every integer up to here is a double


class CannotHoldError(Exception):
    """A language has no literal for a value; the sentence says which."""


class Language:
    """What all languages have in common; the base of each.

    Attributes:
        title: What people call the language.
        identifier: What a name has to match, in ASCII for all but Python, because kernels differ beyond it.
        reserved: Names that are words of the language, or that it does not let anyone assign.
        comment_mark: What starts a comment that ends with the line.
        null: The absent value; a language without one cannot hold it.
        special: Not a number, infinity and its negative; as ``null``.
        truths: What is false and what is true.
        statement: Gives a ``name`` its ``value``.
        listed: A list of the elements at ``{}``; a language without one cannot hold it.
        has_tuples: A tuple is written in round brackets, not as a list.
        secrets: Read a secret from the environment and from a file; ``{0}`` is its place, as text.
        beyond_doubles: Where every number is a double: what integers beyond 2^53 are to the reader of a refusal.
        named: Characters of a text that have an escape of their own.
        numeric: The escape of any other character that is not printable ASCII.
    """

    identifier: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    reserved: ClassVar[frozenset[str]] = frozenset()
    comment_mark: ClassVar[str] = "#"
    null: ClassVar[str | None] = None
    special: ClassVar[tuple[str, str, str] | None] = None
    truths: ClassVar[tuple[str, str]] = ("false", "true")
    statement: ClassVar[str] = "{name} = {value}"
    listed: ClassVar[str | None] = None
    has_tuples: ClassVar[bool] = False
    secrets: ClassVar[tuple[str, str] | None] = None
    beyond_doubles: ClassVar[str] = ""
    named: ClassVar[Mapping[str, str]] = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    numeric: ClassVar[staticmethod[[str], str] | None] = None

    def __init__(self, title: str) -> None:
        self.title = title

    def name_problem(self, name: str) -> str:
        """Why a name cannot be assigned; empty where it can."""
        written = self.written_name(name)
        if not self.identifier.fullmatch(written):
            return f"not a valid name in {self.title}"
        if written in self.reserved:
            return f"a reserved name of {self.title}"
        return ""

    def written_name(self, name: str) -> str:
        """The name as the notebook will find it."""
        return name

    def source(self, values: Mapping[str, Any], comment: str, cell: str = "") -> str:
        """The injected cell: a comment, and an assignment a line.

        Args:
            values: From ``Resolved.values``.
            comment: The first line.
            cell: The source of the parameters cell, whose declarations some languages have to repeat.

        Raises:
            BadInputError: A name is not valid, two names become one, or a value cannot be held.
        """
        del cell
        lines = [f"{self.comment_mark} {' '.join(comment.split())}".strip()]
        taken: dict[str, str] = {}
        for name, value in values.items():
            written = self.written_name(name)
            before = taken.setdefault(written, name)
            clash = f"{self.title} does not tell it from {before}" if before != name else ""
            if problem := self.name_problem(name) or clash:
                raise BadInputError(f"{name!a}: {problem}")
            try:
                lines.append(self._assignment(written, value))
            except CannotHoldError as error:
                raise BadInputError(f"{name}: {self.title} cannot hold {error}") from None
        return "\n".join(lines) + "\n"

    def _assignment(self, name: str, value: Any) -> str:
        """The statement that gives a name its value."""
        return self.statement.format(name=name, value=self._literal(value))

    def _literal(self, value: Any) -> str:  # noqa: PLR0911 - a return for each type
        """The expression whose value is the given one; raises ``CannotHoldError``."""
        match value:
            case None:
                return self._none()
            case bool():
                return self.truths[value]
            case int():
                return self._integer(value)
            case float():
                return self._floating(value) if math.isfinite(value) else self._special(value)
            case str():
                return self._text(value)
            case SecretReference():
                return self._secret(value)
        return self._compound(value)

    def _compound(self, value: Any) -> str:
        match value:
            case list():
                return self._sequence(value)
            case tuple():
                return self._fixed_sequence(value)
            case set() | frozenset():
                return self._unordered(value)
            case dict():
                return self._mapping(value)
            case dt.date() | dt.time():
                return self._moment(value)
        raise CannotHoldError(f"a value of type {type(value).__name__}")

    def _none(self) -> str:
        if self.null is None:
            raise CannotHoldError("null")
        return self.null

    def _integer(self, value: int) -> str:
        """A whole number of any size."""
        if self.beyond_doubles and abs(value) > EXACT_DOUBLE:
            raise CannotHoldError(self.beyond_doubles)
        return str(value)

    def _floating(self, value: float) -> str:
        """A finite number; ``repr`` is the shortest decimal that reads back as the same double."""
        return repr(value)

    def _special(self, value: float) -> str:
        if self.special is None:
            raise CannotHoldError(repr(value))
        return self.special[0 if math.isnan(value) else 1 if value > 0 else 2]

    def _text(self, value: str) -> str:
        """Text."""
        if self.numeric is None:
            raise CannotHoldError(f"text of {len(value)} characters")
        return f'"{escaped(value, self.named, self.numeric)}"'

    def _sequence(self, value: list[Any]) -> str:
        """A list."""
        if self.listed is None:
            raise CannotHoldError(f"a list of {len(value)}")
        return self.listed.format(self._items(value))

    def _fixed_sequence(self, value: tuple[Any, ...]) -> str:
        """A tuple, which most languages write as a list."""
        if self.has_tuples:
            return f"({self._items(value)}{',' if len(value) == 1 else ''})"
        return self._sequence(list(value))

    def _unordered(self, value: set[Any] | frozenset[Any]) -> str:
        """A set, which most languages write as a list."""
        return self._sequence(in_order(value))

    def _mapping(self, value: dict[Any, Any]) -> str:
        """A mapping."""
        raise CannotHoldError(f"a mapping of {len(value)}")

    def _moment(self, value: dt.date | dt.time) -> str:
        """A date or time, as ISO 8601 text where a language has no other form."""
        return self._text(value.isoformat())

    def _secret(self, reference: SecretReference) -> str:
        """The expression that reads a secret when it is evaluated."""
        if self.secrets is None:
            told = f"{reference.source}:{reference.name}"
            raise CannotHoldError(f"secrets ({told}) without writing them into the notebook")
        return self.secrets[reference.source != "env"].format(self._text(reference.name))

    def _key(self, key: Any) -> str:
        """The key of a mapping, which only Python keeps where it is not text."""
        if not isinstance(key, str):
            raise CannotHoldError(f"a mapping with the key {key!r}, which is not text")
        return self._text(key)

    def _items(self, values: Iterable[Any]) -> str:
        """Literals beside each other."""
        return ", ".join(self._literal(value) for value in values)


class UnwrittenLanguage(Language):
    """A language that values are not written in: no test here has read them back from its own interpreter."""

    def source(self, values: Mapping[str, Any], comment: str, cell: str = "") -> str:
        """Nothing: it is refused."""
        del values, comment, cell
        raise BadInputError(
            f"parameters cannot be written in the language {self.title!r}",
            hint="Run the notebook without parameters, or let it read environment variables.",
        )


def escaped(text: str, named: Mapping[str, str], numeric: Callable[[str], str]) -> str:
    """Text with the named characters, and all that is not printable ASCII, escaped."""
    return "".join(
        named.get(character) or (character if " " <= character <= "~" else numeric(character)) for character in text
    )


def unicode_escape(character: str) -> str:
    r"""``\uXXXX`` or ``\UXXXXXXXX``, at full width so that no digit after it belongs to it."""
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def utf16_escape(character: str) -> str:
    r"""``\uXXXX`` for each unit of UTF-16, for languages whose text is made of those."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[index : index + 4]}" for index in range(0, len(units), 4))


def same_scalars(values: Iterable[Any]) -> bool:
    """Whether all are of one scalar type, so that no language converts one of them to another's."""
    kinds = {type(value) for value in values}
    return len(kinds) == 1 and kinds <= {bool, int, float, str}


def without_nul(text: str) -> str:
    """The text, if it has no NUL character."""
    if "\0" in text:
        raise CannotHoldError("text with a NUL character")
    return text


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of names."""
    return frozenset(text.split())
