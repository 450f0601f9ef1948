"""Values on their way to a notebook: as its parameters cell declares them, and as an engine carries them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nbstep.steps.ports import InputParameter, loses_a_number
from nbstep.steps.step import Step
from nbstep_runner import parameters as inspection
from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Parameter, Resolved, Signature


def fitting(values: Mapping[str, Any], declared: Iterable[Parameter], signature: Signature) -> Resolved:
    """The values as the notebook declares them.

    Raises:
        BadInputError: One is of another type, or one of ``declared`` that is required is missing.
    """
    return _read([ParameterSource.values(dict(values))], declared, signature)


def travelling(step: Step, name: str, value: Any, parameter: InputParameter) -> Any:
    """A value as the engine takes it.

    Raises:
        BadInputError: The engine cannot carry it as what it is.
    """
    plain = Resolved({name: value}).as_json()[name]
    if isinstance(plain, Mapping) and not parameter.takes_mappings:
        raise BadInputError(
            f"{name} of step {step.name} is a reference to a secret, which no engine passes on",
            hint=f"Fix it in the step: values={{{name!r}: ...}}.",
        )
    if parameter.text:
        return _as_text(step, name, plain)
    if loses_a_number(value):
        raise BadInputError(
            f"{name} of step {step.name} holds a number that KFP does not carry: beyond 2**53, infinite or NaN",
            hint=f"Fix it in the step: values={{{name!r}: ...}}; or declare it as str and convert it in the notebook.",
        )
    return float(plain) if parameter.kind == "NUMBER_DOUBLE" else plain


def _as_text(step: Step, name: str, value: Any) -> str:
    """A value as text that the runner, which goes by the notebook's declaration, reads as this very value.

    Raises:
        BadInputError: There is none, such as for the text ``"5"`` where an int may stand too.
    """
    text = json.dumps(value) if isinstance(value, list | dict) else str(value)
    read = _read_back(step.signature, name, text)
    if type(read) is not type(value) or read != value:
        raise BadInputError(
            f"{name} of step {step.name} travels as text, and {value!r} would not be read as what it is",
            hint=f"Fix it in the step: values={{{name!r}: {value!r}}}; or declare one type for {name}.",
        )
    return text


def _read_back(signature: Signature, name: str, text: str) -> Any:
    """What the runner makes of a text; ``None`` where it refuses it."""
    structure = _structure(text)
    source = ParameterSource.typed(name, text) if structure is None else ParameterSource.values({name: structure})
    try:
        return _read([source], [one for one in signature.parameters if one.name == name], signature).as_json()[name]
    except BadInputError:
        return None


def _structure(text: str) -> Any:
    """The list or mapping that a text is in JSON; ``None`` where it is neither."""
    if text[:1] not in {"[", "{"}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read(sources: list[ParameterSource], declared: Iterable[Parameter], signature: Signature) -> Resolved:
    asked = Signature(parameters=tuple(declared), language=signature.language, declared=True)
    return inspection.resolve(sources, _no_files, asked, unknown=UnknownParameters.IGNORE)


def _no_files(uri: str) -> bytes:
    raise BadInputError(f"{uri}: a step's arguments are values")
