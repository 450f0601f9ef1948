"""What every run imports, imported once for all of them before the first is forked."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Final

MODULES: Final = ("nbstep_runner.papermill_bridge",)


def import_what_runs_use() -> None:
    """Import it, best effort; none of it starts a thread or opens anything."""
    for name in MODULES:
        with suppress(ImportError):
            import_module(name)
