"""A notebook as a step: defined once, then used in a KFP pipeline, in a local chain, or compiled to a component."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from nbstep.authoring.notebook import label_of, read_notebook
from nbstep.steps.call import Call
from nbstep.steps.checks import check_declarations, check_name, fixed_values
from nbstep.steps.embedding import Source, without_outputs
from nbstep.steps.ports import Artifact, check_names, result_kind
from nbstep.steps.step import Step
from nbstep_runner.contract import Deadlines, StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import read_signature
from nbstep_runner.stores import join, open_store

ENGINES: Final = {"kfp": "nbstep.steps.kfp.bind"}
"""By the library that defines an engine's pipelines: the module that places steps in them, imported only once somebody
uses that library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookStep(Step):
    """A step that is used by calling it."""

    def __call__(self, **arguments: Any) -> Any:
        """A task of the pipeline that is being defined, such as kfp's ``PipelineTask``, else a :class:`Call`.

        Raises:
            BadInputError: The arguments do not fit the notebook.
        """
        for library, module in ENGINES.items():
            if library in sys.modules:
                engine = import_module(module)
                if engine.in_pipeline():
                    return engine.task_of(self, arguments)
        return Call(self, arguments)


def notebook_step(  # noqa: PLR0913 - a step's whole description, each part named by its caller
    notebook: str | Path,
    *,
    image: str | None = None,
    name: str | None = None,
    inputs: Mapping[str, str | Artifact] | None = None,
    results: Mapping[str, type | str] | None = None,
    artifacts: Mapping[str, str | Artifact] | None = None,
    values: Mapping[str, Any] | None = None,
    runs: str | None = None,
    source: str | None = None,
    upload_to: str | None = None,
    html: bool = True,
    kernel: str | None = None,
    deadlines: Deadlines | None = None,
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
            for good ends at once.
        source: Where the container finds the notebook, a path in the image or a URI; it is not embedded then.
        upload_to: A folder, a URI; the notebook is written there now, under its digest, and not embedded.
        html: Deliver the executed notebook as HTML too.
        kernel: Overrides the notebook's own.
        deadlines: For the run, its cells and its kernel.

    Raises:
        BadInputError: It is not a notebook, or the declarations do not fit it.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read or uploaded.
    """
    if source and upload_to:
        raise BadInputError("a notebook has one place: source or upload_to", hint="Leave one of them out.")
    stored = read_notebook(str(notebook))
    bare = without_outputs(stored.content)
    signature = read_signature(stored.content, kernel=kernel)
    check_names(results or {}, artifacts or {})
    step = NotebookStep(
        name=_checked_name(name, str(notebook)),
        image=image,
        source=bare,
        signature=signature,
        place=source,
        values=fixed_values(values or {}, signature),
        inputs=_artifacts(inputs),
        artifacts=_artifacts(artifacts),
        results={result: result_kind(result, kind) for result, kind in (results or {}).items()},
        runs=runs,
        html=html,
        kernel=kernel,
        deadlines=deadlines or Deadlines(),
    )
    check_declarations(step)
    return replace(step, place=_uploaded(bare, upload_to)) if upload_to else step


def _artifacts(declared: Mapping[str, str | Artifact] | None) -> dict[str, Artifact]:
    found = {name: one if isinstance(one, Artifact) else Artifact(one) for name, one in (declared or {}).items()}
    for one in found.values():
        _ = one.title
    return found


def _checked_name(name: str | None, notebook: str) -> str:
    named = label_of(notebook, 100, "step") if name is None else name
    check_name(named)
    return named


def _uploaded(source: Source, folder: str) -> str:
    """Write the notebook under its digest; it is there already if it was compiled before."""
    uri = join(folder, f"{source.digest.removeprefix('sha256:')}.ipynb")
    store = open_store(uri, StorageOptions())
    if store.stat(uri) is None:
        store.write(uri, source.data)
    return uri
