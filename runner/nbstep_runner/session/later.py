"""What a run imports while its first requests to storage are on their way; until then only what these need."""

from __future__ import annotations

from importlib import import_module
from typing import Final

LATER: Final = (
    "nbstep_runner.session.environment",
    "nbstep_runner.parameters",
    "nbstep_runner.kernel.start",
    "nbstep_runner.papermill_bridge",
    "nbstep_runner.engine.notebook_run",
)


def import_later() -> None:
    """Import all of it."""
    for name in LATER:
        import_module(name)
