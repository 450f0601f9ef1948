"""A step's notebook where its container reads it: under its digest, so that a component always finds its own."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Final

from nbstep.profiles.storage import store_of
from nbstep.profiles.volume_claims import SCHEME, here
from nbstep.steps.step import Step
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import NbstepError
from nbstep_runner.stores import is_remote, join

FOLDER: Final = ".notebooks"
"""Beside the runs; no run can have its name."""
RETRY_SECONDS: Final = 5.0
"""A store that only the cluster can reach must not hold up the compilation for long."""


def store_notebook(step: Step, folder: str, storage: StorageOptions) -> str:
    """Write a step's notebook into a folder, unless it is there already; its URI.

    Raises:
        StorageDeniedError, StorageUnavailableError: The store does not take it.
        UsageError: The folder is on a claim that this machine has no access to.
    """
    uri = join(folder, f"{step.source.digest.removeprefix('sha256:')}.ipynb")
    place = here(uri, step.claims)
    store = store_of(place, storage)
    if store.stat(place) is None:
        store.write(place, step.source.data)
    return uri


def stored_with_runs(step: Step) -> Step:
    """The step with its notebook beside its runs; unchanged, with a warning, where that cannot be written from here.

    A path of the container's own file system is no place that could be written from here.
    """
    if step.place is not None or step.runs is None or not (is_remote(step.runs) or step.runs.startswith(SCHEME)):
        return step
    hurried = replace(step.storage, retry_seconds=min(step.storage.retry_seconds, RETRY_SECONDS))
    try:
        return replace(step, place=store_notebook(step, join(step.runs, FOLDER), hurried))
    except NbstepError as error:
        told = f"the notebook of step {step.name} is embedded, because it could not be stored: {error.message}"
        warnings.warn(told, stacklevel=2)
        return step
