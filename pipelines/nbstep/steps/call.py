"""A step with its arguments, outside of any engine: a node of a chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from nbstep.steps.checks import engine_arguments
from nbstep.steps.ports import Artifact
from nbstep.steps.step import Step
from nbstep_runner.errors import BadInputError


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What a call will leave: a result, or an artifact if ``artifact`` says its type."""

    call: Call
    name: str
    artifact: Artifact | None = None

    @property
    def kind(self) -> str:
        """Its type in KFP: a parameter's, or an artifact's schema title."""
        return self.artifact.title if self.artifact else self.call.step.results[self.name]


def check_called(calls: Iterable[Any]) -> None:
    """Whether all of these are steps with their arguments.

    Raises:
        BadInputError: One is not.
    """
    for one in calls:
        if not isinstance(one, Call):
            name = getattr(one, "name", one)
            raise BadInputError(f"{name} is no step with its arguments", hint="Call it: step(parameter=value).")


class Outputs(dict[str, Output]):
    """The outputs of a call by their names."""

    def __missing__(self, name: str) -> Output:
        """Raise BadInputError, which says which outputs there are."""
        raise BadInputError(f"the step has no output {name!r}", hint=f"It has {', '.join(self)}.")


class Call:
    """A step with its arguments.

    Args:
        step: The step.
        arguments: Values, or outputs of other calls.

    Raises:
        BadInputError: The arguments do not fit the notebook.
    """

    def __init__(self, step: Step, arguments: Mapping[str, Any]) -> None:
        self.step = step
        self.connected = {name: one for name, one in arguments.items() if isinstance(one, Output)}
        self.brought = {
            name: one.artifact for name, one in self.connected.items() if one.artifact and name not in step.inputs
        }
        constants = {name: one for name, one in arguments.items() if name not in self.connected}
        kinds = {name: one.kind for name, one in self.connected.items()}
        self.constants = engine_arguments(step, constants, kinds, self.brought)
        self.earlier: list[Call] = [output.call for output in self.connected.values()]

    @property
    def outputs(self) -> Outputs:
        """Every output by its name."""
        artifacts = {name: Output(self, name, one) for name, one in self.step.outputs.items()}
        return Outputs(artifacts | {name: Output(self, name) for name in self.step.results})

    @property
    def output(self) -> Output:
        """The only declared output.

        Raises:
            BadInputError: There is none, or there are several.
        """
        names = [*self.step.results, *self.step.artifacts]
        if len(names) != 1:
            raise BadInputError(
                f"step {self.step.name} declares {len(names)} outputs", hint="Name one: step.outputs['name']."
            )
        return self.outputs[names[0]]

    def after(self, *calls: Call) -> Self:
        """Run only once these are done, whatever data passes between them.

        Raises:
            BadInputError: One of them is a step without its arguments.
        """
        check_called(calls)
        self.earlier.extend(calls)
        return self
