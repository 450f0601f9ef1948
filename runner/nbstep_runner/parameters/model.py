"""What a notebook says of its parameters; the same as JSON Schema, for forms, editors and validators."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from nbstep_runner.parameters.jsonable import jsonable
from nbstep_runner.parameters.kinds import ANY, Kind

_SECRET = {
    "type": "object",
    "description": "Where the secret is found when the notebook runs.",
    "properties": {"secret": {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$"}},
    "required": ["secret"],
    "additionalProperties": False,
}


class Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""An absent value that is not ``None``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One name that the parameters cell declares.

    Attributes:
        annotation: Its type as the notebook writes it; ``None`` where it writes none.
        default: A value of JSON's types, or ``MISSING`` where there is none or it is not a literal.
        default_source: The default as the notebook writes it; empty where there is none.
        help: What the comments beside and above it say, or its ``Annotated`` text.
        required: It has no default: a run has to give a value.
        kind: What values it takes: from the annotation, else from the default.
    """

    name: str
    annotation: str | None = None
    default: Any = MISSING
    default_source: str = ""
    help: str = ""
    required: bool = False
    kind: Kind = ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parameters of a notebook, in the order of their first appearance.

    Attributes:
        language: The notebook's language as its own metadata spells it, such as ``python`` or ``R``.
        declared: A cell tagged ``parameters`` exists.
        complete: Every parameter is known. False where nothing is declared, where the language cannot be inspected,
            and where the cell could not be parsed: then no name can be called unknown.
    """

    parameters: tuple[Parameter, ...] = ()
    language: str = "python"
    declared: bool = False
    complete: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return tuple(parameter.name for parameter in self.parameters)

    def get(self, name: str) -> Parameter | None:
        """The parameter of that name, if it is declared."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


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
