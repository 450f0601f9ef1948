"""What the form of a sweep asks besides: its name, several values of parameters, and how many runs at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from nbstep.server.pages.form_fields import Field
from nbstep.server.started_sweeps import Count
from nbstep.sweeps.sets import typed_values
from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.parameters import Parameter, Signature, resolve, value_of

SEVERAL: Final = "several."
"""What the names of fields begin with that take several values of a parameter."""
NAME: Final = Field(name="sweep.name", title="Name of the sweep", note="The folder of its runs.")
OTHERS: Final = Field(name="sweep.others", title="Several values", type="YAML", hint="name: [1, 2]", lines=True)
JOBS: Final = Field(name="sweep.jobs", title="Processes", type="containers or pods")
PER_WORKER: Final = Field(name="sweep.per_worker", title="Runs at once in each")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFields:
    """The fields that a form has for a sweep, over those that it has for a run.

    Attributes:
        name: The path below the folder of runs at which its runs lie.
        several: For each parameter the field that takes several values, by the parameter's name.
        others: Takes values of parameters that are not known; ``None`` where all are.
        counts: How many processes there are, and runs at once in each.
    """

    name: Field
    several: Mapping[str, Field]
    others: Field | None
    counts: tuple[Field, Field]

    @classmethod
    def of(cls, signature: Signature, name: str, given: Mapping[str, str]) -> SweepFields:
        """The fields for a notebook, with what was typed into them.

        Args:
            signature: What the notebook takes.
            name: What the sweep is called until somebody says something else.
            given: What a form has in it.
        """
        fields = (
            Field(name=SEVERAL + each.name, title=f"{each.name}, several values") for each in signature.parameters
        )
        return cls(
            name=replace(NAME, text=name).filled(given),
            several={each.key: each.filled(given) for each in fields},
            others=None if signature.complete else OTHERS.filled(given),
            counts=(JOBS.filled(given), PER_WORKER.filled(given)),
        )

    @property
    def all(self) -> list[Field]:
        """Every field, in the order of the page."""
        return [*self.several.values(), *([self.others] if self.others else []), self.name, *self.counts]

    def gives(self, parameter: str) -> bool:
        """Whether a parameter is given several values."""
        return parameter in self.several and bool(self.several[parameter].text.strip())

    def checked(self, signature: Signature) -> tuple[SweepFields, dict[str, Any]]:
        """The fields with their problems, and the members of a sweep that is asked for so."""
        grid: dict[str, list[Any]] = {}
        several = {
            name: _values(field, signature, grid) if self.gives(name) else field for name, field in self.several.items()
        }
        name = replace(self.name, problem="" if self.name.text.strip() else "A name is needed.")
        others = self.others and _others(self.others, grid)
        jobs, per_worker = map(_count, self.counts)
        checked = SweepFields(name=name, several=several, others=others, counts=(jobs, per_worker))
        given = {each.key: _number(each.text) for each in checked.counts if each.text.strip() and not each.problem}
        return checked, {"name": self.name.text.strip(), "grid": grid, **given}


def _values(field: Field, signature: Signature, grid: dict[str, list[Any]]) -> Field:
    """A field with its problem; the values that it gives are added to the grid."""
    parameter = signature.get(field.key)
    try:
        grid[field.key] = _typed(field.text.strip(), parameter) if parameter else []
    except (BadInputError, UsageError) as error:
        return replace(field, problem=error.message)
    return field


def _typed(text: str, parameter: Parameter) -> list[Any]:
    """Values in JSON's types; spaces around commas mean nothing in a form."""
    if not text.startswith("["):
        text = ",".join(map(str.strip, text.split(",")))
    _, sources = typed_values(parameter.name, text, where=parameter.name)
    return [value_of(source, parameter) for source in sources]


def _others(field: Field, grid: dict[str, list[Any]]) -> Field:
    if not field.text.strip():
        return field
    source = ParameterSource.yaml(field.text)
    try:
        found = resolve((source,), lambda _: b"", Signature(), unknown=UnknownParameters.IGNORE).as_json()
    except BadInputError as error:
        return replace(field, problem=error.message)
    for name, values in found.items():
        if not isinstance(values, list) or not values:
            return replace(field, problem=f"{name} has no list of values")
    grid |= found
    return field


def _count(field: Field) -> Field:
    try:
        _number(field.text.strip() or "1")
    except msgspec.ValidationError:
        return replace(field, problem="It is no number from 1 to 1000.")
    return field


def _number(text: str) -> int:
    number: int = msgspec.convert(text.strip(), Count, strict=False)
    return number
