"""A step as a KFP component: its IR (kfp's ``pipeline_spec.proto`` as YAML), rendered without kfp."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec
import yaml

from nbstep.backends.arguments import storage_options
from nbstep.profiles.exposure import CLUSTER_VARIABLE, ServedStep
from nbstep.profiles.strict_yaml import PlainDumper
from nbstep.steps.ports import Artifact, InputParameter
from nbstep.steps.sizes import Held, check_argument, check_stored, container_text
from nbstep.steps.step import Step
from nbstep.steps.storing import stored_with_runs
from nbstep_runner.contract import DIGEST_INPUT, RUNS_INPUT, Deadlines, StepSpec
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import MISSING

SCHEMA_VERSION: Final = "2.1.0"
SDK_VERSION: Final = "kfp-2.14.0"
"""The SDK whose IR this is; any later one reads it."""
COMMAND: Final = ("nbstep-runner", "kfp-step")
SERVE: Final = ("nbstep", "endpoint-step")
EXECUTOR_INPUT: Final = "{{$}}"
_FLAGS: Final = {
    "run": "--run-timeout",
    "cell": "--execution-timeout",
    "stall": "--stall-timeout",
    "start": "--start-timeout",
    "shutdown": "--shutdown-timeout",
    "grace": "--grace-period",
}


def component_yaml(step: Step, extra: Mapping[str, Artifact] | None = None) -> str:
    """The component as text that any KFP SDK of version 2 loads; ``extra`` are further artifacts that come in.

    Raises:
        BadInputError: The step has no image, its notebook is too large to be embedded, or its state has no place.
    """
    return yaml.dump(component_ir(step, extra), Dumper=PlainDumper, allow_unicode=True, width=120)


def component_ir(step: Step, extra: Mapping[str, Artifact] | None = None) -> dict[str, Any]:
    """The component as the JSON form of a PipelineSpec with one task.

    Raises:
        BadInputError: As :func:`component_yaml`.
    """
    name = step.name
    ports = {"inputDefinitions": _inputs(step, extra or {}), "outputDefinitions": _outputs(step)}
    return {
        "components": {f"comp-{name}": {"executorLabel": f"exec-{name}", **ports}},
        "deploymentSpec": {"executors": {f"exec-{name}": {"container": _container(step, extra)}}},
        "pipelineInfo": {"name": name},
        "root": {"dag": _dag(name, ports), **ports},
        "schemaVersion": SCHEMA_VERSION,
        "sdkVersion": SDK_VERSION,
    }


def step_arguments(step: Step, extra: Mapping[str, Artifact] | None = None) -> list[str]:
    """What follows the executor input on the command line of a step.

    Raises:
        BadInputError: The notebook is too large to be embedded.
    """
    embedded = [] if step.place else ["--notebook", step.source.embedded()]
    rest = ["--served", plan_text(step.served)] if step.served else ["--", *_options(step)]
    return ["--plan", plan_text(step.plan(extra)), *embedded, *rest]


def plan_text(plan: StepSpec | ServedStep) -> str:
    """The plan as JSON that passes Argo, KFP and Kubernetes unchanged and that any database takes.

    What they would replace begins with two braces or with a dollar: the second brace and every dollar are written as
    JSON's escapes, and so is all that is not ASCII.
    """
    text = json.dumps(msgspec.to_builtins(plan), separators=(",", ":"))
    return re.sub(r"\{(?=\{)", r"\\u007b", text).replace("$", r"\u0024")


def _container(step: Step, extra: Mapping[str, Artifact] | None) -> dict[str, Any]:
    if not step.image:
        raise BadInputError(f"step {step.name} names no image", hint="Give image='…', by digest or an immutable tag.")
    if step.state and not step.runs:
        raise BadInputError(
            f"step {step.name} has nowhere to keep its state: what lies on a pod's own disk goes with the pod",
            hint="Name a place with runs=, such as gs://bucket/runs.",
        )
    arguments = ["--executor-input", EXECUTOR_INPUT, *step_arguments(stored_with_runs(step), extra)]
    container: dict[str, Any] = {
        "image": step.image,
        "command": list(SERVE if step.served else COMMAND),
        "args": arguments,
    }
    if step.served and (cluster := step.served.profile.kubernetes.context):
        container["env"] = [{"name": CLUSTER_VARIABLE, "value": cluster}]
    held = Held(step.name, container_text(container))
    check_argument(held)
    check_stored([held])
    return container


def _options(step: Step) -> list[str]:
    """The runner's options where they are not what the runner does anyway."""
    usual = Deadlines()
    changed = [one.name for one in fields(usual) if getattr(step.deadlines, one.name) != getattr(usual, one.name)]
    times = [part for name in changed for part in (_FLAGS[name], str(getattr(step.deadlines, name)))]
    kernel = ["--kernel", step.kernel] if step.kernel else []
    collected = [part for text in (step.collect if step.runs else ()) for part in ("--collect", text)]
    state = ["--keep-state"] if step.state else []
    return [*times, *kernel, *state, *collected, *storage_options(step.storage)]


def _inputs(step: Step, extra: Mapping[str, Artifact]) -> dict[str, Any]:
    come, _ = step.slots(extra)
    artifacts: dict[str, Any] = {}
    for name, artifact in {**step.inputs, **extra}.items():
        parameter = step.signature.get(come[name].parameter or "")
        artifacts[name] = _artifact(artifact) | (
            {} if parameter is None or parameter.required else {"isOptional": True}
        )
    parameters = {name: _parameter(one) for name, one in step.parameters(extra).items()}
    parameters[DIGEST_INPUT] = {
        "parameterType": "STRING",
        "isOptional": True,
        "defaultValue": step.source.digest,
        "description": "Names the notebook, so that a changed notebook is other work to the engine's cache.",
    }
    if step.in_workspace:
        told = "Where the runs are kept, in the workspace of the pipeline's run."
        parameters[RUNS_INPUT] = {"parameterType": "STRING", "description": told}
    return _without_empty({"artifacts": artifacts, "parameters": parameters})


def _parameter(parameter: InputParameter) -> dict[str, Any]:
    spec: dict[str, Any] = {"parameterType": parameter.kind}
    if parameter.optional:
        spec["isOptional"] = True
    if parameter.default is not MISSING:
        spec["defaultValue"] = parameter.default
    if parameter.help:
        spec["description"] = _shown(parameter.help)
    return spec


def _shown(text: str) -> str:
    """A text for people that passes Argo and KFP's database: braces apart, emoji replaced."""
    plain = re.sub(r"\{(?=\{)", "{ ", text)
    return re.sub("[^\\u0000-\\uffff]", "\ufffd", plain)


def _outputs(step: Step) -> dict[str, Any]:
    artifacts = {name: _artifact(artifact) for name, artifact in step.outputs.items()}
    parameters = {name: {"parameterType": kind} for name, kind in step.results.items()}
    return _without_empty({"artifacts": artifacts, "parameters": parameters})


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {"artifactType": {"schemaTitle": artifact.title, "schemaVersion": "0.0.1"}}


def _dag(name: str, ports: Mapping[str, Any]) -> dict[str, Any]:
    """The one task of a component's own pipeline: its inputs are the pipeline's, and so are its outputs."""
    come, go = ports["inputDefinitions"], ports["outputDefinitions"]
    inputs = {
        "artifacts": {port: {"componentInputArtifact": port} for port in come.get("artifacts", {})},
        "parameters": {port: {"componentInputParameter": port} for port in come.get("parameters", {})},
    }
    outputs = {
        "artifacts": {
            port: {"artifactSelectors": [{"outputArtifactKey": port, "producerSubtask": name}]}
            for port in go.get("artifacts", {})
        },
        "parameters": {
            port: {"valueFromParameter": {"outputParameterKey": port, "producerSubtask": name}}
            for port in go.get("parameters", {})
        },
    }
    task = {
        "cachingOptions": {"enableCache": True},
        "componentRef": {"name": f"comp-{name}"},
        "inputs": _without_empty(inputs),
        "taskInfo": {"name": name},
    }
    return {"outputs": _without_empty(outputs), "tasks": {name: task}}


def _without_empty(groups: Mapping[str, Any]) -> dict[str, Any]:
    return {name: group for name, group in groups.items() if group}
