"""Runs of the memory backend: submitted as any other, and going as a test says."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, cast

import nbstep
from nbstep import Run
from nbstep.backends.memory import MemoryBackend
from support import notebooks


def submit(parameters: dict[str, Any] | None = None, **options: Any) -> Run:
    """A run of a small notebook in the working directory, below a folder of its own."""
    path = notebooks.write(Path("memory.ipynb"), ["1"])
    options.setdefault("runs", f"memory://{secrets.token_hex(4)}/runs")
    return nbstep.submit(path, parameters, on="memory", **options)


def backend_of(run: Run) -> MemoryBackend:
    """Where a test says how a run goes."""
    return cast("MemoryBackend", run.backend)
