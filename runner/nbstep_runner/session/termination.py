"""A short copy of the verdict for Kubernetes (container ``terminationMessagePath``)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nbstep_runner.contract import RunResult, encode

DEFAULT_PATH: Final = "/dev/termination-log"
LIMIT: Final = 4096
"""Kubernetes keeps no more of a container's message (``MaxContainerTerminationMessageLength``)."""
LONGEST_MESSAGE: Final = 1000
SHORT_MESSAGE: Final = 200
"""Characters, of which JSON may write each in six bytes."""


def write_termination_message(result: RunResult) -> None:
    """Write the verdict where Kubernetes looks for it; nothing happens where no such file is."""
    path = Path(os.environ.get("NBSTEP_TERMINATION_LOG", DEFAULT_PATH))
    with suppress(OSError):
        if path.exists():
            path.write_bytes(termination_message(result))


def termination_message(result: RunResult) -> bytes:
    """The verdict as one JSON object of at most 4096 bytes; what makes it longer goes, the results first."""
    whole, short = _verdict(result, LONGEST_MESSAGE), _verdict(result, SHORT_MESSAGE)
    place = {"output_uri": result.output_uri}
    candidates = (whole | place | {"results": result.results}, whole | place, short | place, short)
    return next((data for data in map(encode, candidates) if len(data) <= LIMIT), b"")


def _verdict(result: RunResult, length: int) -> dict[str, Any]:
    error = result.error
    return {
        "run_id": result.run_id,
        "attempt": result.attempt,
        "state": str(result.state),
        "exit_code": result.exit_code,
        "error": error and {"reference": error.reference, "message": error.message[:length]},
    }
