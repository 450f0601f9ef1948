"""A short copy of the verdict for Kubernetes (container ``terminationMessagePath``)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from nbstep_runner.contract import RunResult

DEFAULT_PATH: Final = "/dev/termination-log"
LIMIT: Final = 4096
"""Kubernetes keeps no more of a container's message (``MaxContainerTerminationMessageLength``)."""
LONGEST_MESSAGE: Final = 1000


def write_termination_message(result: RunResult) -> None:
    """Write the verdict where Kubernetes looks for it; nothing happens where no such file is."""
    path = Path(os.environ.get("NBSTEP_TERMINATION_LOG", DEFAULT_PATH))
    if not path.exists():
        return
    with suppress(OSError):
        path.write_bytes(termination_message(result))


def termination_message(result: RunResult) -> bytes:
    """The verdict as one JSON object of at most 4096 bytes; results go first when it would be longer."""
    error = result.error
    verdict = {
        "run_id": result.run_id,
        "attempt": result.attempt,
        "state": str(result.state),
        "exit_code": result.exit_code,
        "output_uri": result.output_uri,
        "error": error and {"reference": error.reference, "message": error.message[:LONGEST_MESSAGE]},
    }
    whole = msgspec.json.encode(verdict | {"results": result.results})
    return whole if len(whole) <= LIMIT else msgspec.json.encode(verdict)[:LIMIT]
