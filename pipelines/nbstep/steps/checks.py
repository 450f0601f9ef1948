"""What a call of a step refuses before anything is compiled or run: arguments that do not fit its notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbstep.steps.ports import Artifact, InputParameter, connects, did_you_mean, in_words
from nbstep.steps.step import Step
from nbstep.steps.travel import Passage, fitting
from nbstep_runner.errors import BadInputError


def engine_arguments(
    step: Step, constants: Mapping[str, Any], connected: Mapping[str, str | None], extra: Mapping[str, Artifact]
) -> dict[str, Any]:
    """The constants of a call as the engine takes them, once all arguments fit the notebook.

    Args:
        step: The step that is called.
        constants: Arguments with values.
        connected: What another step or the pipeline gives: parameters' types in KFP, artifacts' schema titles, ``None``
            where nothing is known.
        extra: Artifacts that the call brings.

    Raises:
        BadInputError: A name is unknown, a value is missing or of another type, or cannot travel.
    """
    parameters = step.parameters(extra)
    artifacts = {**step.inputs, **extra}
    for name in (*constants, *connected):
        if name not in parameters and name not in artifacts:
            raise _stranger(step, name, parameters)
    for name, value in constants.items():
        _check_is_value(step, name, value, artifacts)
    for name, given in connected.items():
        _check_type(step, name, given, artifacts.get(name) or parameters[name])
    values = {name: value for name, value in constants.items() if not _is_left_out(step, name, value)}
    open_ones = [one for one in step.signature.parameters if one.name in parameters and one.name not in connected]
    declared = fitting(values, open_ones, step.signature).values
    return {name: Passage(step.name, name, parameters[name], step.signature).carried(declared[name]) for name in values}


def _check_is_value(step: Step, name: str, value: Any, artifacts: Mapping[str, Artifact]) -> None:
    if hasattr(value, "outputs"):
        raise BadInputError(
            f"{name} of step {step.name} is given a whole step", hint="Give one output of it: step.outputs['rows']."
        )
    if name in artifacts:
        raise BadInputError(
            f"{name} of step {step.name} is an artifact, not a value",
            hint="Give another step's output, or dsl.importer's.",
        )


def _check_type(step: Step, name: str, given: str | None, port: Artifact | InputParameter) -> None:
    if given is None or (isinstance(port, InputParameter) and port.reads(given)):
        return
    wanted = port.title if isinstance(port, Artifact) else port.kind
    if not connects(given, wanted):
        raise _other_type(step, name, given, wanted)


def _is_left_out(step: Step, name: str, value: Any) -> bool:
    """Whether ``None`` says no more than an argument that is not given.

    Raises:
        BadInputError: It says something else, and KFP has no way to pass it.
    """
    if value is not None:
        return False
    parameter = step.signature.get(name)
    if parameter is not None and not parameter.required and parameter.default is not None:
        raise BadInputError(
            f"{name} of step {step.name} cannot be None: KFP passes no None, and left out it is "
            f"{parameter.default_source or parameter.default!r}",
            hint=f"Fix it in the step: values={{{name!r}: None}}; or let None be the notebook's default.",
        )
    return True


def _stranger(step: Step, name: str, parameters: Mapping[str, InputParameter]) -> BadInputError:
    if name in step.values:
        return BadInputError(f"step {step.name} has a fixed value for {name}", hint="Leave it out of the call.")
    hint = (
        did_you_mean(name, parameters)
        if step.signature.declared
        else "It has no parameters cell: nbstep tag names one."
    )
    return BadInputError(f"the notebook of step {step.name} takes no parameter {name!r}", hint=hint)


def _other_type(step: Step, name: str, given: str, wanted: str) -> BadInputError:
    if "." in given and "." not in wanted:
        hint = "An artifact goes to a parameter that holds its place, as str."
    elif "." in wanted and "." not in given:
        hint = "Give an artifact of another step, or dsl.importer's."
    else:
        hint = "Change what the other step declares, or the annotation in this one's parameters cell."
    return BadInputError(
        f"{name} of step {step.name} takes {in_words(wanted)}, but is given {in_words(given)}", hint=hint
    )
