"""What goes into a step and what comes out of it, in the types of Kubeflow Pipelines."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_origin

from nbstep_runner.contract import (
    DIGEST_INPUT,
    HTML,
    KFP_TYPES,
    METRICS,
    NOTEBOOK,
    RUNS_INPUT,
    Slot,
    beyond_utf8mb3,
    is_of_kfp_type,
    lost_on_the_way,
)
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import MISSING, Parameter, Signature

OWN_INPUTS: Final = (DIGEST_INPUT, RUNS_INPUT)
RESERVED: Final = (NOTEBOOK, HTML, METRICS, *OWN_INPUTS)
SLOT_ENDINGS: Final = ("", "_path", "_uri", "_dir")

SYSTEM_TYPES: Final = ("Artifact", "Dataset", "Model", "Metrics", "ClassificationMetrics", "HTML", "Markdown")
ANY_ARTIFACT: Final = "system.Artifact"
_OF_SCHEMA: Final = {
    "integer": "NUMBER_INTEGER",
    "number": "NUMBER_DOUBLE",
    "boolean": "BOOLEAN",
    "string": "STRING",
    "array": "LIST",
    "object": "STRUCT",
}
_OF_PYTHON: Final = {python: kind for kind, python in KFP_TYPES.items()}
_WORDS: Final = {kind: python.__name__ for kind, python in KFP_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact of a step.

    Attributes:
        kind: ``Model``, ``Dataset`` and so on, or a schema title such as ``google.VertexModel``.
        parameter: The notebook's parameter that gets its place; found by the artifact's name if ``None``.
        environment: The environment variable that gets its place instead.
    """

    kind: str = "Artifact"
    parameter: str | None = None
    environment: str | None = None

    @property
    def title(self) -> str:
        """KFP's schema title.

        Raises:
            BadInputError: KFP has no such type.
        """
        if "." in self.kind:
            return self.kind
        if self.kind not in SYSTEM_TYPES:
            raise BadInputError(f"KFP has no artifact type {self.kind!r}", hint=f"There are {', '.join(SYSTEM_TYPES)}.")
        return f"system.{self.kind}"

    def slot(self, name: str, signature: Signature) -> Slot:
        """How the notebook is told where the artifact lies.

        Raises:
            BadInputError: No parameter can take it.
        """
        if self.environment is not None:
            return Slot(environment=self.environment)
        wanted = [self.parameter] if self.parameter else [name + ending for ending in SLOT_ENDINGS]
        for parameter in wanted:
            if declared := signature.get(parameter):
                _check_takes_a_place(declared, name)
                return Slot(parameter=parameter)
        raise BadInputError(
            f"no parameter of the notebook takes the place of the artifact {name}",
            hint=f"Declare one of {', '.join(wanted)} in the parameters cell, or name one: "
            'Artifact("Model", parameter="model_path").',
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputParameter:
    """A parameter as KFP knows it.

    Attributes:
        kind: KFP's type.
        default: ``MISSING`` where KFP is told none; the notebook then uses its own.
        text: The value goes as text, and the notebook's types decide what it is.
    """

    kind: str
    optional: bool
    default: Any = MISSING
    help: str = ""
    text: bool = False

    @property
    def takes_mappings(self) -> bool:
        """Whether a mapping can be its value."""
        return self.text or self.kind == "STRUCT"

    def reads(self, given: str | None) -> bool:
        """Whether it goes as text, and the text that KFP makes of this type is read as the same value."""
        return self.text and given == "NUMBER_INTEGER"


def _check_takes_a_place(parameter: Parameter, artifact: str) -> None:
    kind = input_parameter(parameter).kind
    if kind != "STRING":
        raise BadInputError(
            f"{parameter.name} is {_WORDS[kind]}, which cannot hold the place of the artifact {artifact}",
            hint=f"Declare {parameter.name} as str in the parameters cell, or name another parameter.",
        )


def input_parameter(parameter: Parameter) -> InputParameter:
    """A notebook's parameter for KFP: its declared type where KFP has it, else text."""
    kind = _kind(parameter.kind.schema())
    return InputParameter(
        kind=kind or "STRING",
        optional=not parameter.required,
        default=_default(parameter, kind),
        help=parameter.help,
        text=kind is None,
    )


def result_kind(name: str, kind: type | str) -> str:
    """KFP's type of a result that is declared as ``float``, ``"float"``, ``list[int]`` and so on.

    Raises:
        BadInputError: KFP has no such type, or the name is one of a step's own outputs.
    """
    by_name = {word: kfp for kfp, word in _WORDS.items()}
    found = by_name.get(kind) if isinstance(kind, str) else _OF_PYTHON.get(get_origin(kind) or kind)
    if found is None:
        raise BadInputError(f"the result {name} cannot be of type {kind}", hint=f"Use one of {', '.join(by_name)}.")
    return found


def in_words(kind: str) -> str:
    """A parameter's or an artifact's type in KFP as people say it: ``int`` or ``Model``."""
    return _WORDS.get(kind) or kind.removeprefix("system.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for a parameter's name that there is not."""
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known) or 'none'}."


def connects(given: str, wanted: str) -> bool:
    """Whether an output of one type may be an input of another: parameters' types, or artifacts' schema titles.

    KFP has one number on its way, so an int is a float too. An artifact without a type of its own goes everywhere.
    """
    if "." in given and "." in wanted and ANY_ARTIFACT in {given, wanted}:
        return True
    return given == wanted or (given, wanted) == ("NUMBER_INTEGER", "NUMBER_DOUBLE")


def check_names(results: Mapping[str, Any], artifacts: Mapping[str, Any]) -> None:
    """Whether the outputs can have these names.

    Raises:
        BadInputError: A name is taken or no identifier.
    """
    for name in (*results, *artifacts):
        if not name.isidentifier() or name in RESERVED:
            raise BadInputError(f"{name!r} cannot name an output", hint=f"{', '.join(RESERVED)} are a step's own.")
    if twice := sorted(set(results) & set(artifacts)):
        raise BadInputError(f"{', '.join(twice)} is declared as a result and as an artifact")


def _kind(schema: Mapping[str, Any]) -> str | None:
    """KFP's type for a JSON schema; ``None`` where KFP has no single one."""
    if "enum" in schema:
        kinds: set[str | None] = {_OF_PYTHON[type(choice)] for choice in schema["enum"] if choice is not None}
    elif "anyOf" in schema:
        kinds = {_kind(option) for option in schema["anyOf"] if option.get("type") != "null"}
    else:
        return _OF_SCHEMA.get(str(schema.get("type")))
    return kinds.pop() if len(kinds) == 1 else None


def _default(parameter: Parameter, kind: str | None) -> Any:
    """The default that KFP is told: one that comes back as the notebook has it; others stay the notebook's alone.

    JSON has no tuples and no keys but texts, KFP no ``None`` and no whole floats, and its database no emoji.
    """
    value = parameter.default
    if kind is None or value is MISSING or lost_on_the_way(value) or beyond_utf8mb3(value):
        return MISSING
    own = _as_written(parameter)
    if kind == "NUMBER_DOUBLE" and is_of_kfp_type(own, kind):
        return float(own)
    return value if is_of_kfp_type(own, kind) and _same_from_json(own) else MISSING


def _as_written(parameter: Parameter) -> Any:
    """The default as Python reads it, where that tells more: ``(1, 2)``, which is a list among JSON's types."""
    try:
        return ast.literal_eval(parameter.default_source)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return parameter.default


def _same_from_json(value: Any) -> bool:
    """Whether a value inside of a list or mapping comes back from KFP as it is."""
    match value:
        case list():
            return all(item is not None and _same_from_json(item) for item in value)
        case dict():
            return all(isinstance(key, str) and item is not None for key, item in value.items()) and all(
                map(_same_from_json, value.values())
            )
        case float():
            return not value.is_integer()
    return isinstance(value, str | int | None)
