"""What a step refuses before anything is compiled or run: declarations and arguments that do not fit its notebook."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from nbstep.steps.ports import DIGEST, Artifact, InputParameter, connects, in_words
from nbstep.steps.step import Step
from nbstep.steps.travel import fitting, travelling
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Signature

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?")
"""A folder of a chain, a component of KFP, the begin of a run's id: fit for all three."""


def check_name(name: str) -> None:
    """Whether a step can have this name.

    Raises:
        BadInputError: It cannot.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(
            f"a step cannot be named {name!r}",
            hint="Use small letters, digits and hyphens between them, 100 at most, such as 'train-model'.",
        )


def check_declarations(step: Step) -> None:
    """Whether the ports of a step fit its notebook and each other.

    Raises:
        BadInputError: A parameter is claimed twice or has a name that is taken, or no parameter takes an artifact.
    """
    _check_slots(step, {})
    if DIGEST in step.signature.names:
        raise BadInputError(
            f"the notebook's parameter {DIGEST} has the name of a step's own input", hint="Give it another name."
        )
    for name in step.inputs:
        if not name.isidentifier() or name == DIGEST:
            raise BadInputError(f"{name!r} cannot name an artifact", hint="Use letters, digits and underscores.")


def fixed_values(values: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """The values that no pipeline sets, as JSON holds them, once they fit the notebook.

    Raises:
        BadInputError: A name is unknown, or a value is of another type.
    """
    if signature.complete:
        for name in values:
            if name not in signature.names:
                raise BadInputError(f"the notebook declares no parameter {name!r}", hint=_near(name, signature.names))
    return fitting(values, [one for one in signature.parameters if one.name in values], signature).as_json()


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
    _check_slots(step, extra)
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
    return {name: travelling(step, name, declared[name], parameters[name]) for name in values}


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


def _check_slots(step: Step, extra: Mapping[str, Artifact]) -> None:
    """Whether each parameter has one meaning, and each port one name."""
    come, go = step.slots(extra)
    slots = [*come.values(), *go.values()]
    places = Counter(slot.parameter or f"${slot.environment}" for slot in slots)
    if twice := [place for place, times in places.items() if times > 1]:
        raise BadInputError(
            f"two artifacts of step {step.name} are to be told by {twice[0]}",
            hint='Name another parameter for one of them: Artifact("Model", parameter="model_path").',
        )
    if taken := [slot.parameter for slot in slots if slot.parameter in step.values]:
        raise BadInputError(f"{taken[0]} of step {step.name} has a fixed value, so it cannot be an artifact's place")
    if shadowed := sorted(set(come) & set(step.parameters(extra))):
        raise BadInputError(
            f"{shadowed[0]} of step {step.name} is an artifact and a parameter", hint="Give the artifact another name."
        )


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
    hint = _near(name, parameters) if step.signature.declared else "It has no parameters cell: nbstep tag names one."
    return BadInputError(f"the notebook of step {step.name} takes no parameter {name!r}", hint=hint)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known) or 'none'}."


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
