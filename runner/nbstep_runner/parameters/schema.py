"""A signature as JSON Schema, for forms, editors and validators."""

from __future__ import annotations

from typing import Any

from nbstep_runner.parameters.jsonable import jsonable
from nbstep_runner.parameters.model import MISSING, Parameter, Signature

_SECRET = {
    "type": "object",
    "description": "Where the secret is found when the notebook runs.",
    "properties": {"secret": {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$"}},
    "required": ["secret"],
    "additionalProperties": False,
}


def signature_schema(signature: Signature) -> dict[str, Any]:
    """JSON Schema 2020-12 of a signature's parameters as one object, closed where every parameter is known.

    A value that fits it is accepted by ``resolve``, but for one case: JSON Schema calls 1.0 an integer, and Python does
    not. Every parameter may also be a secret reference.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parameters",
        "type": "object",
        "properties": {parameter.name: _property(parameter) for parameter in signature.parameters},
        "required": [parameter.name for parameter in signature.parameters if parameter.required],
        "additionalProperties": not signature.complete,
        "$defs": {"secret": _SECRET},
    }


def _property(parameter: Parameter) -> dict[str, Any]:
    own = parameter.kind.schema()
    schema: dict[str, Any] = {"title": parameter.name}
    if parameter.help:
        schema["description"] = parameter.help
    schema |= {"anyOf": [own, {"$ref": "#/$defs/secret"}]} if own else {}
    if parameter.default is not MISSING:
        schema["default"] = jsonable(parameter.default)
    return schema
