"""What an earlier attempt of a run left in the places that the next one writes over: kept under its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nbstep_runner.contract import LOG_ENDING, VERDICT_ENDING, ErrorInfo, RunResult, RunState, encode, of_attempt
from nbstep_runner.errors import LOST_HINT, ExitCode, StorageUnavailableError
from nbstep_runner.stores import Store, local_path, sibling

LARGEST_LOG: Final = 64 * 2**20
"""Bytes of a log that are copied where the store gives it as one piece of memory."""


def keep_attempt(output: str, record: RunResult, open_store: Callable[[str], Store]) -> None:
    """Write an attempt's verdict and log beside the output. Doing it twice is as good as once.

    Args:
        output: The URI of the run's output.
        record: What the attempt left; a claim is that of one that ended without a word.
        open_store: Finds the store of a URI.

    Raises:
        NbstepError: The store does not give or take it, or the log is too large for this process.
    """
    verdict = sibling(output, of_attempt(record.attempt, VERDICT_ENDING))
    open_store(verdict).write(verdict, encode(settled(record), indent=1))
    if record.state.final and record.state is not RunState.LOST and record.log_uri:
        _keep_log(sibling(output, LOG_ENDING), sibling(output, of_attempt(record.attempt, LOG_ENDING)), open_store)


def _keep_log(source: str, target: str, open_store: Callable[[str], Store]) -> None:
    store = open_store(source)
    found = store.stat(source)
    if found is None:
        return
    path = local_path(source)
    if path is None and found.size > LARGEST_LOG:
        raise StorageUnavailableError(
            f"the log of the attempt before is not kept: it has {found.size:,} bytes, and at most {LARGEST_LOG:,} are "
            "copied; this attempt's takes its place"
        )
    open_store(target).write(target, store.read(source).data if path is None else path)


def settled(record: RunResult) -> RunResult:
    """The record of an attempt that is over: where it is a claim still, that of a lost one."""
    if record.state.final:
        return record
    since = record.claim.heartbeat_at if record.claim else record.started_at
    return lost(record, f"the attempt vanished; its last sign of life came at {since}")


def lost(record: RunResult, message: str) -> RunResult:
    """The record of an attempt that has left a claim, and will not come to an end; it has stored no log."""
    error = ErrorInfo(reference="lost", message=message, hint=LOST_HINT, retryable=True)
    return replace(record, state=RunState.LOST, exit_code=int(ExitCode.KERNEL_DIED), error=error, claim=None)
