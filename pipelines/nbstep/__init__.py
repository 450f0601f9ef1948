"""The launcher side: run, submit, follow, chain, serve, compile, build and view runs of notebooks.

::

    nbstep.run("train.ipynb", "out.ipynb", {"rate": 0.1}).results["rmse"]

    run = nbstep.submit("train.ipynb", {"rate": 0.1}, runs="gs://bucket/runs", on="kubernetes", image=...)
    run.logs(follow=True)
    result = run.wait()
    result.results["rmse"], run.notebook()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbstep.api import find, rerun, run, submit, submit_async
    from nbstep.endpoints.api import serve
    from nbstep.endpoints.endpoint import Endpoint
    from nbstep.profiles import Profile
    from nbstep.runs.history import history
    from nbstep.runs.run import Run
    from nbstep.runs.wait import wait_all
    from nbstep.steps import endpoint_step, notebook_step
    from nbstep.steps.chain import chain
    from nbstep.sweeps.api import sweep
    from nbstep.sweeps.submitted import SubmittedSweep

    __version__: str

__all__ = [
    "Endpoint",
    "Profile",
    "Run",
    "SubmittedSweep",
    "chain",
    "endpoint_step",
    "find",
    "history",
    "notebook_step",
    "rerun",
    "run",
    "serve",
    "submit",
    "submit_async",
    "sweep",
    "wait_all",
]

_HOMES = {
    "Endpoint": "endpoints.endpoint",
    "Profile": "profiles",
    "Run": "runs.run",
    "SubmittedSweep": "sweeps.submitted",
    "chain": "steps.chain",
    "endpoint_step": "steps",
    "find": "api",
    "history": "runs.history",
    "notebook_step": "steps",
    "rerun": "api",
    "run": "api",
    "serve": "endpoints.api",
    "submit": "api",
    "submit_async": "api",
    "sweep": "sweeps.api",
    "wait_all": "runs.wait",
}


def __getattr__(name: str) -> Any:
    """Import what is used when it is used, so that no command pays for another's libraries."""
    if name == "__version__":
        from importlib.metadata import version

        return version("nbstep")
    if name not in _HOMES:
        raise AttributeError(f"module 'nbstep' has no attribute {name!r}")
    return getattr(import_module(f"nbstep.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What there is, for completion; none of it is imported for that."""
    return [*__all__, "__version__", "errors"]
