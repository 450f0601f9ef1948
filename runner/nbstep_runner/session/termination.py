"""A short copy of the verdict for Kubernetes (container ``terminationMessagePath``)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nbstep_runner.contract import ErrorInfo, RunResult, RunState, encode
from nbstep_runner.errors import InterruptedRunError, NbstepError, TerminatedError
from nbstep_runner.stores import is_remote

DEFAULT_PATH: Final = "/dev/termination-log"
LIMIT: Final = 4096
"""Kubernetes keeps no more of a container's message (``MaxContainerTerminationMessageLength``)."""
LONGEST_MESSAGE: Final = 1000
SHORT_MESSAGE: Final = 200
"""Characters, of which JSON may write each in six bytes."""
SENTENCE: Final = 300
"""Characters of the sentence for people that the message begins with; pages of engines show no more of it."""


def write_termination_message(result: RunResult) -> None:
    """Write the verdict where Kubernetes looks for it; nothing happens where no such file is."""
    _write(termination_message(result))


def write_termination_error(error: NbstepError) -> None:
    """Write why no run came about, or why its step failed after all, in the same place and form."""
    _write(termination_error(error))


def _write(message: bytes) -> None:
    path = Path(os.environ.get("NBSTEP_TERMINATION_LOG", DEFAULT_PATH))
    with suppress(OSError):
        if path.exists():
            path.write_bytes(message)


def termination_message(result: RunResult) -> bytes:
    """The verdict as one JSON object of at most 4096 bytes; what makes it longer goes, the results first."""
    whole, short = _verdict(result, LONGEST_MESSAGE), _verdict(result, SHORT_MESSAGE)
    place = {"output_uri": result.output_uri}
    return _first_that_fits((whole | place | {"results": result.results}, whole | place, short | place, short))


def termination_error(error: NbstepError) -> bytes:
    """The verdict of an error that no record has, as one JSON object of at most 4096 bytes."""
    stopped = isinstance(error, InterruptedRunError | TerminatedError)
    state = RunState.CANCELLED if stopped else RunState.FAILED
    return _first_that_fits(
        {
            "message": _sentence(state, error.message),
            "state": str(state),
            "exit_code": int(error.exit_code),
            "error": _error(error, length),
        }
        for length in (LONGEST_MESSAGE, SHORT_MESSAGE)
    )


def _verdict(result: RunResult, length: int) -> dict[str, Any]:
    return {
        "message": _told(result),
        "run_id": result.run_id,
        "attempt": result.attempt,
        "state": str(result.state),
        "exit_code": result.exit_code,
        "error": result.error and _error(result.error, length),
    }


def _told(result: RunResult) -> str:
    """State, cell, error and place in one sentence; a place inside of the container is none."""
    place = result.output_uri if is_remote(result.output_uri) else ""
    if result.error is None:
        return _sentence(result.state, "", place)
    index = result.error.cell_index
    cell = f"cell {index}"
    in_cell = "" if index is None or result.error.message.startswith(cell) else f"{cell}: "
    return _sentence(result.state, in_cell + result.error.message, place)


def _sentence(state: RunState, what: str, place: str = "") -> str:
    """At most :data:`SENTENCE` characters: of a long error the beginning, so that the place remains."""
    where = f"; see {place}" if place and len(place) < SENTENCE / 2 else ""
    line = " ".join(what.split())
    told = f"{state}: {line}" if line else str(state)
    room = SENTENCE - len(where)
    return f"{told if len(told) <= room else told[: room - 1] + '…'}{where}"


def _error(error: ErrorInfo | NbstepError, length: int) -> dict[str, str]:
    return {"reference": error.reference, "message": error.message[:length]}


def _first_that_fits(candidates: Iterable[dict[str, Any]]) -> bytes:
    return next((data for data in map(encode, candidates) if len(data) <= LIMIT), b"")
