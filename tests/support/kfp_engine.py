"""What Argo, KFP's driver and its launcher do to a step's texts, as small functions; also a program for their pods.

Written after what Kubeflow Pipelines 2.17 and Argo Workflows 4.0 were seen to do. Standard library only: pods run it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLES = {
    "workflow.name": "typed-odd-mcsq7",
    "workflow.uid": "58cc5973",
    "workflow.namespace": "kubeflow",
    "workflow.creationTimestamp": "2026-11-26T18:54:01Z",
    "pod.name": "typed-odd-mcsq7-system-container-impl-1",
    "node.name": "typed-odd-mcsq7.root",
    "retries": "0",
    "inputs.parameters.task-name": "typed",
    "item": "0",
}
"""Variables that Argo knows inside of KFP's templates."""
STRICT = re.compile(r"(workflow|inputs|outputs|steps|tasks|item)(\.|$)")
ENVIRONMENT = {"KFP_POD_NAME": "typed-odd-mcsq7-impl", "KFP_POD_UID": "1672ed32"}


WORKSPACE = "/kfp-workspace"


class Refused(Exception):  # noqa: N818 - a verdict of the engine, not an error of the tests
    """The workflow cannot be submitted, or fails before its pod starts."""


def argo(text: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """A template's text after its substitution (``util/template`` of Argo, on fasttemplate)."""
    done, rest = "", text
    while (start := rest.find("{{")) >= 0 and (end := rest.find("}}", start + 2)) >= 0:
        done += rest[:start] + _tag(rest[start + 2 : end], variables)
        rest = rest[end + 2 :]
    return done + rest


def _tag(tag: str, variables: Mapping[str, str]) -> str:
    if tag.startswith("="):
        raise Refused(f"expression {tag}")
    if tag.strip() in variables:
        return variables[tag.strip()]
    outer, opening, inner = tag.rpartition("{{")
    if opening and inner in variables:
        return "{{" + outer + variables[inner]
    if STRICT.match(tag.strip()):
        raise Refused(f"failed to resolve {tag}")
    return "{{" + tag + "}}"


def kubernetes(argument: str, environment: Mapping[str, str] = ENVIRONMENT) -> str:
    """A container's argument as the kubelet passes it."""

    def expand(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environment.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", expand, argument)


def template(value: str) -> str:
    """A text on its way through a template into a container's arguments, inside of JSON as KFP has it there."""
    return kubernetes(json.loads(argo(json.dumps(value, ensure_ascii=False))))


def defaults(component: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a component's inputs have if none are given."""
    inputs = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: one["defaultValue"] for name, one in inputs.items() if "defaultValue" in one}


def executor_input(component: Mapping[str, Any], values: Mapping[str, Any], folder: str, root: str) -> dict[str, Any]:
    """The message as the driver makes it; ``root`` is where the execution's artifacts lie, with its UUID."""
    outputs = component.get("outputDefinitions", {})
    artifacts = {name: _artifact(name, root) for name in (*outputs.get("artifacts", {}), "executor-logs")}
    files = {name: {"outputFile": f"{folder}/outputs/{name}"} for name in outputs.get("parameters", {})}
    inputs = {"parameterValues": {name: _in_workspace(value) for name, value in values.items()}} if values else {}
    message = {"outputFile": f"{root}/output_metadata.json", "parameters": files, "artifacts": artifacts}
    return {"inputs": inputs, "outputs": message}


def _in_workspace(value: Any) -> Any:
    """A constant with the place of the workspace, which the driver puts into texts, but into no list or mapping."""
    return value.replace("{{$.workspace_path}}", WORKSPACE) if isinstance(value, str) else value


def _artifact(name: str, root: str) -> dict[str, Any]:
    return {"artifacts": [{"name": name, "uri": f"{root}/{name}"}]}


def started(component: Mapping[str, Any], container: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """The command line that a step's pod starts in the end: every substitution on the way from the compiled pipeline.

    Raises:
        Refused: The engine fails before.
    """
    told = (template(json.dumps(each, ensure_ascii=False)) for each in (component, container, values))
    driven = drive(next(told), next(told), next(told), "/minio/bucket/pipeline/run/task/bb6e2879")
    patch = json.loads(argo(json.dumps(driven, ensure_ascii=False)))
    (main,) = json.loads(patch)["containers"]
    _, _, _, message, spec, _ = map(kubernetes, main["command"])
    return launch(json.loads(message), json.loads(spec), list(map(kubernetes, main["args"])))


def launch(message: Mapping[str, Any], component: Mapping[str, Any], command: list[str], retry: int = 0) -> list[str]:
    """The command line that the launcher starts: defaults filled in, the attempt in the place of its logs."""
    message = json.loads(json.dumps(message))
    message["outputs"]["artifacts"]["executor-logs"]["artifacts"][0]["uri"] += f"-{retry}"
    values = defaults(component) | message["inputs"].get("parameterValues", {})
    message["inputs"]["parameterValues"] = values
    text = json.dumps(message, ensure_ascii=False)
    placeholders = {f"{{{{$.inputs.parameters['{name}']}}}}": str(value) for name, value in values.items()}
    filled = [part.replace("{{$}}", text) for part in command]
    for placeholder, value in placeholders.items():
        filled = [part.replace(placeholder, value) for part in filled]
    return filled


def drive(component: str, container: str, values: str, place: str) -> str:
    """The patch of the step's pod that the driver puts out: the launcher with its message, then the step's command."""
    spec, own = json.loads(component), json.loads(container)
    message = executor_input(spec, json.loads(values), "/tmp/kfp", place)  # noqa: S108 - KFP's own folder
    launcher = ["python3", "/kfp/kfp_engine.py", "launch", json.dumps(message), component, "--"]
    command = own.get("command", []) + own.get("args", [])
    main = {"name": "main", "image": own["image"], "command": launcher, "args": command, "env": own.get("env", [])}
    return json.dumps({"containers": [main]})


def main(arguments: list[str]) -> int:
    """``drive COMPONENT CONTAINER VALUES PLACE FILE`` or ``launch MESSAGE COMPONENT -- COMMAND``."""
    if arguments[0] == "drive":
        Path(arguments[5]).parent.mkdir(parents=True, exist_ok=True)
        Path(arguments[5]).write_text(drive(*arguments[1:5]))
        return 0
    import os

    command = launch(
        json.loads(arguments[1]), json.loads(arguments[2]), arguments[4:], int(os.environ.get("KFP_RETRY_INDEX") or 0)
    )
    return 1 if subprocess.run(command, check=False).returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
