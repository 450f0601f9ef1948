"""A step as kfp's own objects: a component, and a task of the pipeline that is being defined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import components
from kfp.dsl import pipeline_channel, pipeline_context

from nbstep.steps.component import component_yaml
from nbstep.steps.definition import NotebookStep
from nbstep.steps.ports import Artifact


def in_pipeline() -> bool:
    """Whether a pipeline function is being compiled."""
    return pipeline_context.Pipeline.get_default_pipeline() is not None


def component_of(step: NotebookStep, inputs: Mapping[str, Artifact] | None = None) -> Any:
    """The step as a kfp component.

    Args:
        step: The step.
        inputs: Artifacts that come in, beside those that the step declares.

    Raises:
        BadInputError: The step has no image, or its notebook is too large to be embedded.
    """
    return components.load_component_from_text(component_yaml(step, inputs))


def task_of(step: NotebookStep, arguments: Mapping[str, Any]) -> Any:
    """The step with its arguments as a task of the pipeline that is being defined.

    An artifact of an earlier task becomes an input artifact of its own type.

    Raises:
        BadInputError: The arguments do not fit the notebook.
    """
    channels = {name: one for name, one in arguments.items() if isinstance(one, pipeline_channel.PipelineChannel)}
    brought = {
        name: Artifact(_kind_of(one.channel_type))
        for name, one in channels.items()
        if isinstance(one, pipeline_channel.PipelineArtifactChannel) and name not in step.inputs
    }
    constants = {name: one for name, one in arguments.items() if name not in channels}
    values = step.check(constants, set(channels), brought)
    return component_of(step, brought)(**values, **channels)


def _kind_of(channel_type: str) -> str:
    """The schema title of a channel's type, such as ``system.Model@0.0.1``."""
    return channel_type.partition("@")[0]
