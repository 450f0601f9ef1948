"""An endpoint as a pipeline's step, seen from inside the step's container: served with what the engine passes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from nbstep.endpoints.api import planned, start
from nbstep.profiles.exposure import URL, ServedStep
from nbstep.submission.request import Request
from nbstep_runner.contract import ParameterSource, StepSpec
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.arguments import given_parameters
from nbstep_runner.kfp_adapter.executor_input import ExecutorInput
from nbstep_runner.kfp_adapter.notebook import step_notebook
from nbstep_runner.stores import is_remote

KFP_MINIO: Final = "minio://"
"""How KFP calls a bucket of an S3 server of one's own; everybody else calls it ``s3://``."""


def serve_step(plan: StepSpec, served: ServedStep, message: ExecutorInput, embedded: str | None) -> str:
    """Serve a step's notebook, wait until it answers, and hand its URL to the engine; the URL.

    Args:
        plan: What was fixed of the notebook when the step was compiled.
        served: What was fixed of the endpoint.
        message: What the engine passes.
        embedded: The notebook, where the component carries it.

    Raises:
        BadInputError: The pipeline was compiled for another notebook, or the engine asks for no URL.
        NbstepError: As of :func:`nbstep.serve`.
    """
    if URL not in message.outputs.parameters:
        raise BadInputError("the engine has no place for the URL", hint="Use the component as it was compiled.")
    values, texts = given_parameters(plan, message)
    sources = [
        ParameterSource.values(values | artifact_places(plan, message)),
        *(ParameterSource.typed(name, text) for name, text in texts.items()),
    ]
    with TemporaryDirectory() as folder:
        notebook = Path(folder) / f"{served.name}.ipynb"
        notebook.write_bytes(step_notebook(plan, embedded, served.profile.storage))
        request = Request(notebook=str(notebook), profile=served.profile, sources=tuple(sources))
        endpoint = start(planned(request, served.name, served.limits, served.exposure))
    endpoint.wait(served.timeout)
    file = Path(message.outputs.parameters[URL].output_file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(endpoint.url)
    return endpoint.url


def artifact_places(plan: StepSpec, message: ExecutorInput) -> dict[str, Any]:
    """Where each artifact lies, by the parameter that is told: its URI, as a process anywhere reaches it."""
    found: dict[str, Any] = {}
    for name, slot in plan.inputs.items():
        if slot.parameter is not None and name in message.inputs.artifacts:
            places = [_reachable(one.uri) for one in message.inputs.artifacts[name].artifacts]
            found[slot.parameter] = places[0] if len(places) == 1 else places
    return found


def _reachable(uri: str) -> str:
    if uri.startswith(KFP_MINIO):
        return f"s3://{uri.removeprefix(KFP_MINIO)}"
    return uri if is_remote(uri) else str(Path(uri.removeprefix("file://")).absolute())
