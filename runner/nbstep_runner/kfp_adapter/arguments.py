"""From what the engine passes to a step to the command line of the runner."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbstep_runner.contract import (
    DIGEST_INPUT,
    HTML,
    METRICS,
    NOTEBOOK,
    OUTPUT,
    RUNS_INPUT,
    WORKSPACE,
    Slot,
    StepSpec,
    structure_in,
)
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.executor_input import Artifact, ExecutorInput, given
from nbstep_runner.stores import join, redact


@dataclass(frozen=True, slots=True)
class Files:
    """Where a step's run keeps its files; the same for every attempt, so that a retry is known for one."""

    folder: Path

    @property
    def notebook(self) -> Path:
        """The notebook to run."""
        return self.folder / "input.ipynb"

    @property
    def parameters(self) -> Path:
        """Its parameters."""
        return self.folder / "params.yaml"

    @property
    def record(self) -> Path:
        """The local copy of the record."""
        return self.folder / "record.json"


def in_workspace(plan: StepSpec, executor_input: ExecutorInput) -> StepSpec:
    """The plan with the place of its runs, if they are in the workspace that the steps of one run of a pipeline share.

    Raises:
        BadInputError: The pipeline does not say where that is, or the place holds credentials.
    """
    if plan.runs is None or WORKSPACE not in plan.runs:
        return _kept_openly(plan)
    runs = executor_input.inputs.parameter_values.get(RUNS_INPUT)
    if not isinstance(runs, str) or WORKSPACE in runs:
        raise BadInputError(
            f"step {plan.name} keeps its runs in KFP's workspace, and its pipeline does not say where that is",
            hint=f"Give it {RUNS_INPUT}=dsl.WORKSPACE_PATH_PLACEHOLDER + '/runs', as a step does by itself.",
        )
    return _kept_openly(replace(plan, runs=runs))


def _kept_openly(plan: StepSpec) -> StepSpec:
    """The same plan, once it is known that no record has to hide a part of its runs' place: it is delivered from."""
    if plan.runs and redact(plan.runs) != plan.runs:
        raise BadInputError(
            f"the place of the runs of step {plan.name} holds credentials: {redact(plan.runs)}",
            hint="Name the place without them, and give the step's pod what it needs to reach it.",
        )
    return plan


def run_id_of(plan: StepSpec, executor_input: ExecutorInput) -> str:
    """Names the run: the same for each retry of one execution, because the engine keeps its outputs' places.

    Only those of the step's own outputs count. KFP adds others whose places name the attempt, such as executor-logs.
    """
    outputs = executor_input.outputs
    own = [one for name in (NOTEBOOK, METRICS, HTML, *plan.artifacts) if (one := outputs.uri(name))]
    places = [str(Path(outputs.output_file).parent), *sorted(own)]
    return f"{plan.name}-{hashlib.sha256(chr(0).join(places).encode()).hexdigest()[:12]}"


def output_uri_of(plan: StepSpec, run_id: str, folder: Path) -> str:
    """Where the executed notebook goes, and beside it the record, the log and the page."""
    return join(plan.runs, f"{run_id}/{OUTPUT}") if plan.runs else str(folder / OUTPUT)


def runner_arguments(
    plan: StepSpec, executor_input: ExecutorInput, files: Files, options: tuple[str, ...]
) -> list[str]:
    """The runner's command line; writes the parameters file and sets the environment that slots ask for.

    Raises:
        BadInputError: The engine names no place for an artifact, or the pipeline was compiled for another notebook.
    """
    values, texts = given_parameters(plan, executor_input)
    values |= _paths(plan, executor_input)
    files.parameters.write_text(json.dumps(values, ensure_ascii=False))
    run_id = run_id_of(plan, executor_input)
    return [
        str(files.notebook),
        output_uri_of(plan, run_id, files.folder),
        str(files.parameters),
        *(part for name, text in texts.items() for part in ("-p", f"{name}={text}")),
        *("--run-id", run_id, "--attempt", "next", "--record-file", str(files.record), "--short-notice"),
        *(["--html"] if plan.html else []),
        *options,
    ]


def given_parameters(plan: StepSpec, executor_input: ExecutorInput) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that have their types, and the texts whose type the notebook decides; artifacts are not among them.

    Raises:
        BadInputError: The pipeline was compiled for another notebook.
    """
    values = given(executor_input.inputs.parameter_values)
    values.pop(RUNS_INPUT, None)
    digest = values.pop(DIGEST_INPUT, plan.digest)
    if digest != plan.digest:
        raise BadInputError(
            f"the pipeline asks for the notebook {digest}, but step {plan.name} was compiled from {plan.digest}",
            hint=f"Leave the input {DIGEST_INPUT} as it is.",
        )
    texts = {name: str(values.pop(name)) for name in plan.texts if name in values}
    structures = {name: found for name, text in texts.items() if (found := structure_in(text)) is not None}
    return plan.values | values | structures, {name: text for name, text in texts.items() if name not in structures}


def _paths(plan: StepSpec, executor_input: ExecutorInput) -> dict[str, Any]:
    """The parameters that say where artifacts are; those told by the environment are set there."""
    values: dict[str, Any] = {}
    for name, slot in plan.inputs.items():
        if found := executor_input.inputs.artifacts.get(name):
            places = [_place(slot, artifact) for artifact in found.artifacts]
            _tell(slot, places[0] if len(places) == 1 else places, values)
    for name, slot in plan.artifacts.items():
        path = executor_input.outputs.path(name)
        if path is None:
            raise BadInputError(
                f"the engine has no place for the artifact {name}", hint="Use the component as it was compiled."
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        _tell(slot, path, values)
    return values


def _place(slot: Slot, artifact: Artifact) -> str:
    by_uri = slot.parameter is not None and slot.parameter.lower().endswith("_uri")
    return artifact.uri if by_uri else artifact.path


def _tell(slot: Slot, place: str | list[str], values: dict[str, Any]) -> None:
    if slot.parameter is not None:
        values[slot.parameter] = place
    if slot.environment is not None:
        os.environ[slot.environment] = place if isinstance(place, str) else os.pathsep.join(place)
