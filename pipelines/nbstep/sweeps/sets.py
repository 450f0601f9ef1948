"""Parameter sets: every combination of a grid, every row of a matrix, and both together; and their names."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from math import prod
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from nbstep.authoring.notebook import label_of
from nbstep_runner.contract import ParameterSource
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.parameters import load_document

MOST_SETS: Final = 10_000

Sources = tuple[ParameterSource, ...]
"""What gives one set its values; a later one wins."""

Axis = tuple[str, tuple[ParameterSource, ...]]
"""A parameter's name, and a source for each of its values."""
LONGEST_NAME: Final = 100
"""Characters; file systems allow 255 bytes, and people read fewer."""
HASH_LENGTH: Final = 8
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._+=,-]+")


def combine(axes: Sequence[Axis], rows: Sequence[Sources]) -> list[Sources]:
    """Each row with each combination of the axes' values, the last axis changing fastest.

    Raises:
        UsageError: There are no sets, too many, or an axis twice.
    """
    names = [name for name, _ in axes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"the grid names {min(twice)} twice", hint="Give all its values at once: --grid NAME=A,B,C.")
    count = len(rows or [()]) * prod(len(values) for _, values in axes)
    if not axes and not rows:
        raise UsageError("a sweep needs parameter sets", hint="Give --grid NAME=A,B, or --matrix FILE, or both.")
    if count > MOST_SETS:
        raise UsageError(f"the sweep has {count:,} parameter sets; at most {MOST_SETS:,} are taken")
    combinations = list(product(*(values for _, values in axes)))
    return [(*row, *combination) for row in rows or [()] for combination in combinations]


def typed_axis(text: str) -> Axis:
    """An axis as it is typed: ``NAME=A,B,C``, or ``NAME=[a YAML list]`` for values that hold commas or are lists.

    Raises:
        UsageError: It is neither.
        BadInputError: The list is no YAML.
    """
    name, equals, values = text.partition("=")
    if not name or not equals or not values.strip():
        raise UsageError(f"--grid {text!r} is not NAME=VALUE,VALUE")
    return typed_values(name, values, where=f"--grid {name}")


def typed_values(name: str, text: str, where: str) -> Axis:
    """An axis whose values are typed: ``A,B,C``, or a YAML list.

    Args:
        name: The parameter's.
        text: Not blank.
        where: Where they are typed, for messages.

    Raises:
        UsageError: The list is none, has no value, or has more than a sweep can have sets.
        BadInputError: The list is no YAML.
    """
    if text.lstrip().startswith("["):
        listed = load_document(text.encode(), where=f"the list of {where}")
        if not isinstance(listed, list):
            raise UsageError(f"the values of {where} are no list")
        return axis(name, listed)
    return name, _counted(name, (ParameterSource.typed(name, value) for value in text.split(",")))


def axis(name: str, values: Iterable[Any]) -> Axis:
    """An axis of values that have their types.

    Raises:
        UsageError: There are none, more than a sweep can have sets, or it is a single value.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"the grid has no list of values for {name}", hint=f"Give one: grid={{{name!r}: [1, 2]}}.")
    sources = _counted(name, (ParameterSource.values({name: value}) for value in values))
    if not sources:
        raise UsageError(f"the grid has no value for {name}")
    return name, sources


def _counted(name: str, sources: Iterable[ParameterSource]) -> tuple[ParameterSource, ...]:
    """The sources of an axis; no more are made than it takes to know that they are too many.

    Raises:
        UsageError: They are.
    """
    found = tuple(islice(sources, MOST_SETS + 1))
    if len(found) > MOST_SETS:
        raise UsageError(f"{name} has more than {MOST_SETS:,} values, and no sweep has so many sets")
    return found


def row(mapping: Mapping[str, Any]) -> Sources:
    """A row of values that have their types.

    Raises:
        UsageError: It is no mapping.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(
            f"{mapping!r} of the matrix is no mapping of names to values",
            hint="Give a list: matrix=[{'n': 1}, {'n': 2}].",
        )
    return (ParameterSource.values(dict(mapping)),)


def read_matrix(data: bytes, name: str) -> list[Sources]:
    """The rows of a file: CSV with a line of names, or a JSON or YAML list of mappings, by the file's ending.

    An empty field of a CSV file gives no value: the notebook's default holds.

    Raises:
        BadInputError: The file holds no such thing.
    """
    if PurePosixPath(name).suffix.lower() in {".csv", ".tsv"}:
        return _read_csv(data, name)
    document = load_document(data, where=f"the matrix {name}")
    if not isinstance(document, list) or not document:
        raise BadInputError(f"the matrix {name} is no list of parameter sets", hint="Write one mapping for each set.")
    for number, each in enumerate(document, 1):
        if not isinstance(each, dict):
            raise BadInputError(f"entry {number} of the matrix {name} is no mapping of names to values")
    return [row({getattr(key, "text", key): value for key, value in each.items()}) for each in document]


def _read_csv(data: bytes, name: str) -> list[Sources]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"the matrix {name} is not UTF-8 (byte {error.start})") from None
    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if line]
    except csv.Error as error:
        raise BadInputError(f"the matrix {name} is not CSV: {error}") from None
    if len(lines) < 2:
        raise BadInputError(f"the matrix {name} has no rows", hint="Its first line names the parameters.")
    return [_csv_row(lines[0], line, f"row {number} of the matrix {name}") for number, line in enumerate(lines[1:], 1)]


def _csv_row(names: list[str], fields: list[str], where: str) -> Sources:
    if len(fields) != len(names):
        raise BadInputError(f"{where} has {len(fields)} fields, and the first line names {len(names)}")
    pairs = zip(names, fields, strict=True)
    return tuple(ParameterSource.typed(name.strip(), field) for name, field in pairs if field)


def names_given(sources: Iterable[ParameterSource]) -> list[str]:
    """The names that these sources give values to, in order, each once."""
    found: dict[str, None] = {}
    for source in sources:
        found |= dict.fromkeys([source.name] if source.name else source.mapping)
    return list(found)


def set_name(values: Mapping[str, Any]) -> str:
    """``lr=0.1,n=2``: what a set's values are, in characters that every store and shell takes.

    Where that loses something (other characters, great length, lists), a hash of the values keeps names apart.

    Args:
        values: Of JSON's types, by name; in the order in which they are to be read.
    """
    text = ",".join(f"{name}={_shown(value)}" for name, value in values.items())
    fit = _UNFIT.sub("-", text)
    if fit == text and len(fit) <= LONGEST_NAME and fit.strip(".") and all(map(_is_plain, values.values())):
        return fit
    room = LONGEST_NAME - HASH_LENGTH - 1
    digest = hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:HASH_LENGTH]
    return f"{fit[:room].rstrip('-,.')}-{digest}"


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
