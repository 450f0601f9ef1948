"""A step as kfp's own objects: a component, and a task of the pipeline that is being defined."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from kfp import components
from kfp.dsl import for_loop, pipeline_channel, pipeline_context
from kfp.dsl.types import type_utils

from nbstep.steps.checks import engine_arguments
from nbstep.steps.component import component_yaml
from nbstep.steps.ports import Artifact
from nbstep.steps.sizes import Held, check_argument, check_stored, constants_text, container_text
from nbstep.steps.step import Step
from nbstep_runner.contract import RUNS_INPUT, lost_on_the_way
from nbstep_runner.errors import BadInputError

_NAMES: Final = {
    "NUMBER_INTEGER": "Integer",
    "NUMBER_DOUBLE": "Float",
    "BOOLEAN": "Boolean",
    "STRING": "String",
    "LIST": "List",
    "STRUCT": "Dict",
}
"""The types as kfp's channels spell them."""


def component_of(step: Step, inputs: Mapping[str, Artifact] | None = None) -> Any:
    """The step as a kfp component.

    Args:
        step: The step.
        inputs: Artifacts that come in, beside those that the step declares.

    Raises:
        BadInputError: The step has no image, or its notebook is too large to be embedded.
    """
    return components.load_component_from_text(component_yaml(step, inputs))


def task_of(step: Step, arguments: Mapping[str, Any]) -> Any:
    """The step with its arguments as a task of the pipeline that is being defined.

    An artifact of an earlier task becomes an input artifact of its own type. A text may hold values of earlier tasks.

    Raises:
        BadInputError: The arguments do not fit the notebook, or Argo could not store the pipeline.
    """
    later = {name: one for name, one in arguments.items() if pipeline_channel.extract_pipeline_channels_from_any(one)}
    kinds = {name: _kind_of(one) for name, one in later.items()}
    brought = {name: Artifact(kind) for name, kind in kinds.items() if kind and "." in kind and name not in step.inputs}
    for name, one in later.items():
        _check_text_around(step, name, one)
        _check_items(step, name, one)
    constants = {name: one for name, one in arguments.items() if name not in later}
    values = engine_arguments(step, constants, kinds, brought)
    if step.in_workspace:
        values[RUNS_INPUT] = step.runs
    parameters = step.parameters(brought)
    with ExitStack() as stack:
        for name in [name for name in later if name in parameters and kinds[name] != parameters[name].kind]:
            later[name] = stack.enter_context(_passing_for(later[name], parameters[name].kind))
        task = component_of(step, brought)(**values, **later)
    if step.served:
        task.set_caching_options(enable_caching=False)  # what answered once may be deleted since
    task._inputs = _Inputs(task.inputs)  # noqa: SLF001 - kfp has no other way in
    task._outputs = _Outputs(task.outputs)  # noqa: SLF001 - as above
    check_argument(_held_task(task, 1))
    pipeline = pipeline_context.Pipeline.get_default_pipeline()
    check_stored(list(_held(pipeline.groups[0], 1)))
    return task


def _held(group: Any, times: int) -> Iterator[Held]:
    """The containers of a pipeline as far as it is defined, ``times`` being how often the group runs."""
    items = getattr(getattr(group, "loop_argument", None), "items_or_pipeline_channel", None)
    times *= len(items) if isinstance(items, list) else 1
    yield from (_held_task(task, times) for task in group.tasks if task.container_spec)
    for inner in group.groups:
        yield from _held(inner, times)


def _held_task(task: Any, times: int) -> Held:
    own = task.container_spec
    container = {"image": own.image, "command": list(own.command), "args": list(own.args)}
    constants = {name: one for name, one in task.inputs.items() if isinstance(one, str | int | float | list | dict)}
    return Held(task.name, container_text(container), constants_text(constants), times)


def _check_text_around(step: Step, name: str, value: Any) -> None:
    """Whether what stands around the values of earlier tasks in a text passes the engine."""
    around = pipeline_channel.extract_pipeline_channels_from_string(value) if isinstance(value, str) else []
    text = value
    for channel in around:
        text = text.replace(channel.pattern, "")
    if around and (lost := lost_on_the_way(text)):
        raise BadInputError(f"{name} of step {step.name} holds {lost}", hint="Let the notebook make the text.")


def _check_items(step: Step, name: str, value: Any) -> None:
    """Whether the items of a loop that stand in the pipeline pass the engine; what a step finds, that step checks."""
    loop = value.loop_argument if isinstance(value, for_loop.LoopArgumentVariable) else value
    items = getattr(loop, "items_or_pipeline_channel", None)
    if isinstance(items, list) and (lost := lost_on_the_way(items)):
        raise BadInputError(
            f"{name} of step {step.name} is given the items of a loop, which hold {lost}",
            hint="Loop over numbers or names, and let the notebook look up what they stand for.",
        )


class _Inputs(dict[str, Any]):
    """The inputs of a task; kfp's ``ignore_upstream_failure`` asks for those that were left out, too."""

    def __missing__(self, name: str) -> None:
        """Nothing is given for the input."""


class _Outputs(dict[str, Any]):
    """The outputs of a task."""

    def __missing__(self, name: str) -> Any:
        """Raise BadInputError, which says which outputs there are."""
        raise BadInputError(f"the step has no output {name!r}", hint=f"It has {', '.join(self)}.")


def _kind_of(value: Any) -> str | None:
    """A parameter's type, or the schema title of an artifact's; ``None`` where kfp does not know it."""
    match value:
        case str():
            return "STRING"
        case list() | tuple() | dict():
            raise BadInputError(
                "a list or mapping holds an output of another step, which KFP would pass as text",
                hint="Let a step report the whole list or mapping, or give the output to a parameter of its own.",
            )
        case for_loop.Collected(is_artifact_list=True):
            raise BadInputError(
                "no parameter takes the artifacts of a whole loop",
                hint="Let the looped step report where each one is as a result, and collect that.",
            )
        case for_loop.LoopArgumentVariable():
            return None  # kfp takes the type of a mapping's first value for that of all
        case for_loop.LoopParameterArgument(channel_type="String"):
            return None  # so kfp calls the items of a list that an earlier task makes, whatever they are
    name = str(value.channel_type)
    return type_utils.get_parameter_type_name(name) if type_utils.is_parameter_type(name) else name.partition("@")[0]


@contextmanager
def _passing_for(channel: Any, kind: str) -> Iterator[Any]:
    """A channel that kfp takes for one of this type inside the context; kfp itself refuses an int for a float.

    The item of a loop cannot be copied, and is never refused while it is called a text.
    """
    looped = isinstance(channel, (for_loop.LoopArgumentVariable, for_loop.LoopParameterArgument))
    own, passing = channel.channel_type, channel if looped else copy.copy(channel)
    passing.channel_type = "String" if looped else _NAMES[kind]
    try:
        yield passing
    finally:
        passing.channel_type = own
