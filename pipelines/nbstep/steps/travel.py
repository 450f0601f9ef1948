"""Values on their way to a notebook: as its parameters cell declares them, and as an engine carries them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbstep.steps.ports import InputParameter
from nbstep_runner import parameters as inspection
from nbstep_runner.contract import (
    ParameterSource,
    UnknownParameters,
    beyond_utf8mb3,
    lost_on_the_way,
    structure_in,
    whole,
)
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Parameter, Resolved, Signature


def fitting(values: Mapping[str, Any], declared: Iterable[Parameter], signature: Signature) -> Resolved:
    """The values as the notebook declares them.

    Raises:
        BadInputError: One is of another type, or one of ``declared`` that is required is missing.
    """
    return _read([ParameterSource.values(dict(values))], declared, signature)


@dataclass(frozen=True, slots=True)
class Passage:
    """The way of one argument into a step.

    Attributes:
        step: The step's name, for messages.
        name: The parameter's.
        port: The parameter as KFP knows it.
        signature: What the notebook declares.
    """

    step: str
    name: str
    port: InputParameter
    signature: Signature

    def carried(self, value: Any) -> Any:
        """A value, as the notebook declares it, in the form in which the engine takes it.

        Raises:
            BadInputError: The engine cannot carry it as what it is.
        """
        plain = _plain(value)
        if isinstance(plain, Mapping) and not self.port.takes_mappings:
            raise self._refused("is a reference to a secret, which no engine passes on")
        carried = self._as_text(plain) if self.port.text else plain
        if lost := lost_on_the_way(carried if self.port.text else value):
            raise self._refused(f"holds {lost}", "; or declare it as str and convert it in the notebook")
        if beyond_utf8mb3(carried):
            warnings.warn(
                f"{self.name} of step {self.step} has characters beyond U+FFFF, which KFP's database may refuse; "
                f"values={{{self.name!r}: ...}} carries them everywhere",
                stacklevel=2,
            )
        if not self.port.text:
            self._check_arrival(plain)
        return float(carried) if self.port.kind == "NUMBER_DOUBLE" else carried

    def _check_arrival(self, plain: Any) -> None:
        """Whether the runner reads what KFP makes of a value as this very value."""
        changed = "None inside" if _holds_none(plain) else ""
        if not changed and self._arrival(ParameterSource.values({self.name: whole(plain)})) != _typed(plain):
            changed = "whole floats, which KFP makes ints"
        if changed:
            raise self._refused(f"would not arrive as it is: it has {changed}")

    def _as_text(self, value: Any) -> str:
        """A value as text that the runner, which goes by the notebook's declaration, reads as this very value.

        Raises:
            BadInputError: There is none, such as for the text ``"5"`` where an int may stand too.
        """
        text = json.dumps(value) if isinstance(value, list | dict) else str(value)
        structure = structure_in(text)
        named = ParameterSource.typed(self.name, text)
        source = named if structure is None else ParameterSource.values({self.name: structure})
        if self._arrival(source) != _typed(value):
            raise BadInputError(
                f"{self.name} of step {self.step} travels as text, and {value!r} would not be read as what it is",
                hint=f"Fix it in the step: values={{{self.name!r}: {value!r}}}; or declare one type for {self.name}.",
            )
        return text

    def _arrival(self, source: ParameterSource) -> Any:
        """What the runner makes of a source, with its types; ``None`` where it refuses it."""
        own = [one for one in self.signature.parameters if one.name == self.name]
        try:
            return _typed(_plain(_read([source], own, self.signature).values[self.name]))
        except BadInputError:
            return None

    def _refused(self, why: str, other_way: str = "") -> BadInputError:
        return BadInputError(
            f"{self.name} of step {self.step} {why}",
            hint=f"Fix it in the step: values={{{self.name!r}: ...}}{other_way}.",
        )


def _plain(value: Any) -> Any:
    return Resolved({"value": value}).as_json()["value"]


def _holds_none(value: Any) -> bool:
    match value:
        case list():
            return any(item is None or _holds_none(item) for item in value)
        case dict():
            return _holds_none(list(value.values()))
    return False


def _typed(value: Any) -> Any:
    """A value that equals another only where all types inside are equal too: 1, 1.0 and True are three."""
    match value:
        case list() | tuple():
            return ("list", [_typed(item) for item in value])
        case dict():
            return ("dict", [(_typed(key), _typed(item)) for key, item in value.items()])
    return (type(value).__name__, value)


def _read(sources: list[ParameterSource], declared: Iterable[Parameter], signature: Signature) -> Resolved:
    asked = Signature(parameters=tuple(declared), language=signature.language, declared=True)
    return inspection.resolve(sources, _no_files, asked, unknown=UnknownParameters.IGNORE)


def _no_files(uri: str) -> bytes:
    raise BadInputError(f"{uri}: a step's arguments are values")
