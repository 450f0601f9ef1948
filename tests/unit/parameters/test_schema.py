"""The signature as JSON Schema."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.parameters import Signature, read_signature, resolve, signature_schema
from nbstep_runner.parameters.annotations import parse_annotation
from parameter_values import values

SOURCE = """
BUCKET: str  # where the data is
NBUCKETS = 5
COLUMNS: list[str] = ["a"]
RATE: float | None = float("nan")
MODE: Literal["fast", "slow"] = "fast"
PAIR: tuple[int, str] = (1, "a")
DAY: datetime.date = datetime.date(2024, 1, 1)
EXTRA = None
"""


def schema_of(source: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source}
    return signature_schema(read_signature({"metadata": {}, "cells": [cell]}))


def test_the_schema_of_a_signature() -> None:
    schema = schema_of(SOURCE)
    secret = {"$ref": "#/$defs/secret"}
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["BUCKET"]
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "BUCKET": {"title": "BUCKET", "description": "where the data is", "anyOf": [{"type": "string"}, secret]},
        "NBUCKETS": {"title": "NBUCKETS", "anyOf": [{"type": "integer"}, secret], "default": 5},
        "COLUMNS": {
            "title": "COLUMNS",
            "anyOf": [{"type": "array", "items": {"type": "string"}}, secret],
            "default": ["a"],
        },
        "RATE": {
            "title": "RATE",
            "anyOf": [{"anyOf": [{"type": "number"}, {"type": "null"}]}, secret],
            "default": "NaN",
        },
        "MODE": {"title": "MODE", "anyOf": [{"enum": ["fast", "slow"]}, secret], "default": "fast"},
        "PAIR": {
            "title": "PAIR",
            "anyOf": [
                {
                    "type": "array",
                    "prefixItems": [{"type": "integer"}, {"type": "string"}],
                    "minItems": 2,
                    "maxItems": 2,
                },
                secret,
            ],
            "default": [1, "a"],
        },
        "DAY": {"title": "DAY", "anyOf": [{"type": "string", "format": "date"}, secret]},
        "EXTRA": {"title": "EXTRA", "default": None},
    }
    json.dumps(schema, allow_nan=False)


def test_the_schema_is_open_where_names_cannot_be_known() -> None:
    assert schema_of("%%bash")["additionalProperties"] is True


@pytest.mark.parametrize("reference", ["env:TOKEN", "file:/run/secrets/token"])
def test_a_secret_fits_every_parameter(reference: str) -> None:
    validator = jsonschema.Draft202012Validator(schema_of(SOURCE))
    assert validator.is_valid({"BUCKET": "b", "NBUCKETS": {"secret": reference}})
    assert not validator.is_valid({"BUCKET": "b", "NBUCKETS": {"secret": "hunter2"}})


ANNOTATIONS = [
    "int",
    "float",
    "bool",
    "str",
    "None",
    "Any",
    "list",
    "dict",
    "int | None",
    "list[int]",
    "dict[str, float]",
]
ANNOTATIONS += ["tuple[int, str]", "tuple[float, ...]", "Literal['', 1]", "list[int | str]", "dict[str, list[bool]]"]


@cache
def declared(annotation: str) -> tuple[Signature, Any]:
    """The signature of one parameter X, and the validator of its schema."""
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": f"X: {annotation}"}
    signature = read_signature({"cells": [cell]})
    return signature, jsonschema.Draft202012Validator(signature_schema(signature))


# JSON Schema calls 1.0 an integer; a Python annotation does not.
fractions = st.floats().filter(lambda number: not number.is_integer())
leaves = st.none() | st.booleans() | st.integers() | fractions | st.text("a", max_size=2)


@given(values(leaves, st.text("ab", max_size=3)))
def test_what_fits_the_schema_is_accepted(value: Any) -> None:
    for annotation in ANNOTATIONS:
        signature, validator = declared(annotation)
        if validator.is_valid({"X": value}):
            resolve([ParameterSource.values({"X": value})], lambda _: b"", signature, unknown=UnknownParameters.ERROR)


def test_every_kind_has_a_valid_schema() -> None:
    for annotation in ANNOTATIONS:
        jsonschema.Draft202012Validator.check_schema(parse_annotation(annotation).kind.schema())
