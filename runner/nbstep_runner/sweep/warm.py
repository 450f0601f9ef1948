"""What every run imports and looks up, once for all of them before the first is forked."""

from __future__ import annotations

import gc
from contextlib import suppress
from importlib import import_module
from typing import Final

from nbstep_runner.session.environment import describe_environment

MODULES: Final = (
    "nbstep_runner.kernel.forked",
    "nbstep_runner.papermill_bridge",
    "nbstep_runner.parameters.languages.python",
    "nbstep_runner.stores.local",
)


def warm_up() -> None:
    """Do it, best effort; none of it starts a thread or holds anything open."""
    for name in MODULES:
        with suppress(ImportError):
            import_module(name)
    describe_environment()
    gc.collect()
    gc.freeze()  # the runs' collectors pass over what they share, and do not copy it
    gc.enable()
