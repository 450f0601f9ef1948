"""Steps as users have them: a notebook read and described once, then called in a pipeline function or for a chain."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from nbstep.authoring.notebook import label_of, read_notebook
from nbstep.profiles import Profile, load_profile
from nbstep.steps.call import Call
from nbstep.steps.embedding import without_outputs
from nbstep.steps.ports import OWN_INPUTS, Artifact, check_names, did_you_mean, result_kind
from nbstep.steps.step import Step
from nbstep.steps.storing import store_notebook
from nbstep.steps.travel import fitting
from nbstep_runner.contract import Deadlines
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Signature, read_signature
from nbstep_runner.stores import redact

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?")
"""A folder of a chain, a component of KFP, the begin of a run's id: fit for all three."""
_KFP_CONTEXT: Final = "kfp.dsl.pipeline_context"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookStep(Step):
    """A step that can be called."""

    def __call__(self, **arguments: Any) -> Any:
        """A kfp ``PipelineTask`` where kfp is running a pipeline function, else a :class:`Call`.

        Raises:
            BadInputError: The arguments do not fit the notebook.
        """
        if _in_pipeline_function():
            from nbstep.steps.kfp.bind import task_of

            return task_of(self, arguments)
        if self.served:
            raise BadInputError(
                f"step {self.name} starts an endpoint, which only a pipeline of Kubeflow Pipelines does",
                hint="Outside of one nbstep.serve(notebook, parameters) starts it.",
            )
        return Call(self, arguments)


def _in_pipeline_function() -> bool:
    """Whether kfp is making a pipeline of a function's calls; it cannot be where nobody has imported it."""
    context = sys.modules.get(_KFP_CONTEXT)
    return context is not None and context.Pipeline.get_default_pipeline() is not None


def notebook_step(  # noqa: PLR0913 - a step's whole description, each part named by its caller
    notebook: str | Path,
    *,
    image: str | None = None,
    name: str | None = None,
    inputs: Mapping[str, str | Artifact] | None = None,
    results: Mapping[str, type | str] | None = None,
    artifacts: Mapping[str, str | Artifact] | None = None,
    values: Mapping[str, Any] | None = None,
    runs: str | Path | None = None,
    source: str | Path | None = None,
    upload_to: str | Path | None = None,
    html: bool = True,
    kernel: str | None = None,
    deadlines: Deadlines | None = None,
    retries: int | None = None,
    state: bool | None = None,
    profile: Profile | str | None = None,
) -> NotebookStep:
    """A notebook as a step, its inputs typed by its own parameters cell.

    Args:
        notebook: A path or URI; read now.
        image: The container image; it has nbstep-runner and the notebook's kernel.
        name: The step's; the notebook's file name if ``None``.
        inputs: Artifacts that come in, with their types. Those that a call brings from another step need not be named.
        results: What the notebook reports with ``result()``, with its types: ``{"rmse": float}``.
        artifacts: What the notebook writes, with its types: ``{"model": "Model"}``. The place is given to the parameter
            of that name, also with ``_path``, ``_uri`` or ``_dir`` after it.
        values: Parameters that no pipeline sets, such as ``{"password": {"secret": "env:PASSWORD"}}``.
        runs: Where the runner itself keeps notebook, log and record, a URI. KFP's launcher uploads nothing for steps
            that fail, and a retry has a new disk; with this, failed steps deliver too, and a retry of what has ended
            for good ends at once. A compiled step also keeps its notebook there, instead of embedding it.
        source: Where the container finds the notebook, a path in the image or a URI; it is not embedded then.
        upload_to: A folder, a URI; the notebook is written there now, under its digest, and not embedded.
        html: Deliver the executed notebook as HTML too.
        kernel: Overrides the notebook's own.
        deadlines: For the run, its cells and its kernel.
        retries: How often the step itself repeats a run that ended with what may pass: a dead kernel (12), a fault of
            nbstep (70), storage out of reach (75). Once ``deadlines.run`` has passed no attempt begins.
        state: Each run keeps its state folder, ``NBSTEP_STATE_DIR``, from attempt to attempt, in ``runs``.
        profile: Gives ``image``, ``runs``, ``deadlines``, ``retries`` and ``state`` where they are left out, and says
            how stores are reached; a profile or the name of one in the profiles file.

    Raises:
        BadInputError: It is not a notebook, or the declarations do not fit it.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read or uploaded.
    """
    if source and upload_to:
        raise BadInputError("a notebook has one place: source or upload_to", hint="Leave one of them out.")
    around = load_profile(profile, {}) if isinstance(profile, str) else profile or Profile(retries=0)
    stored = read_notebook(str(notebook), around.storage)
    signature = read_signature(stored.content, kernel=kernel)
    check_names(results or {}, artifacts or {})
    step = NotebookStep(
        name=label_of(str(notebook), 100, "step") if name is None else name,
        image=image or around.image,
        source=without_outputs(stored.content),
        signature=signature,
        place=None if source is None else str(source),
        values=_fixed(values or {}, signature),
        inputs=_artifacts(inputs),
        artifacts=_artifacts(artifacts),
        results={result: result_kind(result, kind) for result, kind in (results or {}).items()},
        runs=str(runs) if runs else around.runs,
        html=html,
        kernel=kernel,
        deadlines=deadlines or around.deadlines,
        storage=around.storage,
        claims=around.kubernetes.claims,
        retries=around.retries if retries is None else retries,
        state=around.state if state is None else state,
        collect=around.collect,
    )
    _check(step)
    return replace(step, place=store_notebook(step, str(upload_to), step.storage)) if upload_to else step


def _check(step: Step) -> None:
    """Whether a step's declarations fit its notebook and each other.

    Raises:
        BadInputError: A name is none or taken, a parameter is claimed twice, no parameter takes an artifact, or the
            place of its runs holds credentials.
    """
    if not NAME.fullmatch(step.name):
        raise BadInputError(
            f"a step cannot be named {step.name!r}",
            hint="Use small letters, digits and hyphens between them, 100 at most, such as 'train-model'.",
        )
    if step.runs and redact(step.runs) != step.runs:
        raise BadInputError(
            f"the place of the runs of step {step.name} holds credentials, which all who see the pipeline would read",
            hint="Name the place without them, and give the step's pod what it needs to reach it.",
        )
    if step.retries < 0:
        raise BadInputError(f"step {step.name} cannot be repeated {step.retries} times", hint="Give 0 or more.")
    if own := set(OWN_INPUTS).intersection(step.signature.names):
        raise BadInputError(
            f"the notebook's parameter {own.pop()} has the name of a step's own input", hint="Give it another name."
        )
    for name in step.inputs:
        if not name.isidentifier() or name in OWN_INPUTS:
            raise BadInputError(f"{name!r} cannot name an artifact", hint="Use letters, digits and underscores.")
    step.slots()


def _fixed(values: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """The values that no pipeline sets, as JSON holds them, once they fit the notebook.

    Raises:
        BadInputError: A name is unknown, or a value is of another type.
    """
    for name in values:
        if signature.complete and name not in signature.names:
            raise BadInputError(
                f"the notebook declares no parameter {name!r}", hint=did_you_mean(name, signature.names)
            )
    return fitting(values, [one for one in signature.parameters if one.name in values], signature).as_json()


def _artifacts(declared: Mapping[str, str | Artifact] | None) -> dict[str, Artifact]:
    return {name: one if isinstance(one, Artifact) else Artifact(one) for name, one in (declared or {}).items()}
