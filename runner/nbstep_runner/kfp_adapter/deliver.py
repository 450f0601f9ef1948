"""What a step leaves to its engine: files at the places that it named, and the ExecutorOutput message."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

from nbstep_runner.contract import (
    HTML,
    METRICS,
    NOTEBOOK,
    RECORD_ENDING,
    RunResult,
    StepSpec,
    StorageOptions,
    is_of_kfp_type,
    lost_on_the_way,
)
from nbstep_runner.errors import BadInputError, NbstepError
from nbstep_runner.kfp_adapter.executor_input import Outputs
from nbstep_runner.nonfinite import is_number
from nbstep_runner.stores import open_store, sibling


def deliver(plan: StepSpec, record: RunResult, outputs: Outputs, storage: StorageOptions) -> None:
    """Write everything that the record has; of a failed run that is its notebook, page, metrics and results so far.

    ``storage`` is how the run's own objects are reached.
    """
    _deliver_notebook(record, outputs, storage)
    _deliver_page(record, outputs, storage)
    metrics = metrics_of(record)
    _write(outputs.path(METRICS), json.dumps(metrics).encode())
    results = {name: value for name, value in record.results.items() if name in outputs.parameters}
    for name, value in results.items():
        if not _problem_of(value, plan.results.get(name)):
            text = value if isinstance(value, str) else json.dumps(value)
            _write(outputs.parameters[name].output_file, text.encode())
    _write(outputs.output_file, _message(plan, record, outputs, metrics))


def check_promises(plan: StepSpec, record: RunResult, outputs: Outputs) -> None:
    """Whether a run that succeeded has left all that its step declares.

    Raises:
        BadInputError: A result was not reported or is of another type, or an artifact was not written.
    """
    problems = [
        *(_result_problem(record, name, kind) for name, kind in plan.results.items()),
        *(_artifact_problem(outputs, name) for name in plan.artifacts),
    ]
    found = [problem for problem in problems if problem]
    if found:
        raise BadInputError(
            f"step {plan.name} ran, but {'; '.join(found)}",
            hint="Let the notebook report and write what the step declares, or declare less.",
        )


def missing_artifacts(plan: StepSpec, outputs: Outputs) -> list[str]:
    """The declared artifacts that are not there."""
    return [name for name in plan.artifacts if _artifact_problem(outputs, name)]


def metrics_of(record: RunResult) -> dict[str, float | int]:
    """The results that are finite numbers."""
    return {name: value for name, value in record.results.items() if is_number(value)}


def _result_problem(record: RunResult, name: str, kind: str) -> str:
    if name not in record.results:
        return f"its notebook did not report the result {name}"
    problem = _problem_of(record.results[name], kind)
    return problem and f"the result {name} {problem}"


def _problem_of(value: Any, kind: str | None) -> str:
    """Why a result of a declared type cannot be handed on; empty where it can."""
    if kind is not None and not is_of_kfp_type(value, kind):
        return f"is {type(value).__name__}, not {kind}"
    lost = lost_on_the_way(value)
    return lost and f"holds {lost}"


def _artifact_problem(outputs: Outputs, name: str) -> str:
    path = outputs.path(name)
    return "" if path and Path(path).exists() else f"its notebook did not write the artifact {name}"


def _deliver_notebook(record: RunResult, outputs: Outputs, storage: StorageOptions) -> None:
    if record.output_version is not None:
        _copy(record.output_uri, outputs.path(NOTEBOOK), storage)


def _deliver_page(record: RunResult, outputs: Outputs, storage: StorageOptions) -> None:
    """The page; where none could be made, one that says why, so that the engine finds what was declared."""
    path = outputs.path(HTML)
    if record.html_uri:
        _copy(record.html_uri, path, storage)
        return
    reasons = [*record.warnings, *([record.error.message] if record.error else [])]
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    _write(path, f"<!DOCTYPE html><title>No page</title><p>There is no page of this run.</p><ul>{items}</ul>".encode())


def _copy(uri: str, path: str | None, storage: StorageOptions) -> None:
    if path is None or path == uri:  # a chain's artifact is the run's own file
        return
    if Path(uri).is_file():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(uri, path)
        return
    _write(path, open_store(uri, storage).read(uri).data)


def _write(path: str | None, data: bytes) -> None:
    """Write a file of the engine's, unless it asks for none."""
    if path is None:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)


def _message(plan: StepSpec, record: RunResult, outputs: Outputs, metrics: dict[str, Any]) -> bytes:
    """The ExecutorOutput: every artifact that exists, with what is known of it."""
    metadata = {NOTEBOOK: _about(plan, record), METRICS: metrics}
    artifacts = {
        name: {"artifacts": [{"name": one.name, "uri": one.uri, "metadata": one.metadata | metadata.get(name, {})}]}
        for name, found in outputs.artifacts.items()
        for one in found.artifacts[:1]
        if Path(one.path).exists()
    }
    return json.dumps({"artifacts": artifacts}).encode()


def _about(plan: StepSpec, record: RunResult) -> dict[str, Any]:
    """What KFP's UI shows of a run; the record's place where it outlives the pod."""
    about = {
        "run_id": record.run_id,
        "state": str(record.state),
        "exit_code": record.exit_code,
        "seconds": record.seconds,
        "record": sibling(record.output_uri, RECORD_ENDING) if plan.runs else None,
        "error": f"{record.error.reference}: {record.error.message}" if record.error else None,
    }
    return {name: value for name, value in about.items() if value is not None}


def try_to_deliver(plan: StepSpec, record: RunResult, outputs: Outputs, storage: StorageOptions) -> str:
    """Deliver a failed run's outputs; what went wrong with that, which is not the step's verdict."""
    try:
        deliver(plan, record, outputs, storage)
    except NbstepError as error:
        return error.message
    except OSError as error:
        return f"{error.strerror or error}: {error.filename}"
    return ""
