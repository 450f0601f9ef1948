"""How a run stands: what its place knows and what its record says, put together. A committed record wins."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from nbstep.backends.protocol import Phase, Status
from nbstep.errors import KINDS, LostRunError
from nbstep.views.status import RunStatus
from nbstep_runner import processes
from nbstep_runner.contract import (
    ATTEMPTS,
    EXPIRED_LEASES,
    VERDICT_ENDING,
    Claim,
    ErrorInfo,
    RunResult,
    RunState,
    decode,
    encode,
    moment_of,
)
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageDeniedError,
    TerminatedError,
)
from nbstep_runner.stores import Store, sibling

GIVEN_UP_AFTER: Final = 2.0
"""Leases of a claim; see :func:`patience`."""


def patience(record: RunResult | None) -> float:
    """Seconds without a change of its record after which a run whose process cannot be seen any more is lost."""
    return GIVEN_UP_AFTER * record.claim.lease_seconds if record and record.claim else 0.0


def combine(status: Status, record: RunResult | None, *, silent: bool = False) -> RunStatus:
    """One answer out of both. The record has to be read after the status was asked for.

    A final record is the last word unless another attempt can still come of it: then it is that of an earlier attempt,
    told in words alone. A run that ended without one gets the state that the place's own knowledge supports, and is
    ``lost`` where it supports none.

    Args:
        status: What its place knows.
        record: What lies in storage.
        silent: The record has not changed for ``GIVEN_UP_AFTER`` leases by the clock of one observer. Then no heartbeat
            speaks for the run, whatever its age: that of a clock which is ahead lies in the future.
    """
    over = status.phase in (Phase.ENDED, Phase.GONE)
    if record is not None and record.state.final and (over or not can_be_retried(record)):
        return RunStatus(state=record.state, words=said(record), problems=status.problems, record=record)
    if not over:
        started = status.phase is Phase.RUNNING
        state = RunState.RUNNING if started else RunState.PENDING
        if record is not None and record.state.final:  # an earlier attempt's: the next one has not written its own
            words = f"{status.words}; attempt {record.attempt}: {said(record)}"
            return RunStatus(state=state, words=words, problems=status.problems)
        return RunStatus(state=state, words=status.words, problems=status.problems, record=record)
    if _may_still_run(status, record, silent=silent):
        words = f"{status.words}; its last heartbeat is not old enough to give it up"
        return RunStatus(state=RunState.RUNNING, words=words, problems=status.problems, record=record)
    return RunStatus(state=_state(status), words=status.words, problems=status.problems, record=record)


def as_it_looks(record: RunResult) -> RunResult:
    """A record as it is shown where only records are looked at: that of a run without a sign of life is ``lost``.

    Nothing is written: whoever asks for the run's status settles it.
    """
    claim = record.claim
    if record.state.final or claim is None or _may_still_run(Status(phase=Phase.GONE), record, silent=False):
        return record
    error = LostRunError(f"the run has given no sign of life since {claim.heartbeat_at}")
    return replace(record, state=RunState.LOST, error=ErrorInfo.of(error))


def final_record(status: Status, record: RunResult) -> RunResult:
    """The record that the launcher writes for a run that could not write it itself.

    Args:
        status: What its place knows: it ended.
        record: The claim that it left behind, or the blank record of one that left none.
    """
    kind: type[NbstepError] = TerminatedError if status.cancelled else KINDS.get(status.reference, LostRunError)
    message = status.words or "the run's process vanished without a record"
    problems = [problem for problem in status.problems if problem not in message]
    error = ErrorInfo.of(kind("; ".join([message, *problems])))
    return replace(
        record,
        state=_state(status),
        exit_code=int(kind.exit_code),
        error=error,
        claim=None,
        ended_at=datetime.now(UTC).isoformat(),
        warnings=(*record.warnings, "this record was written by the launcher, not by the run"),
    )


def _state(status: Status) -> RunState:
    if status.cancelled:
        return RunState.CANCELLED
    return (
        RunState.FAILED if status.reference in KINDS and status.reference != LostRunError.reference else RunState.LOST
    )


def can_be_retried(record: RunResult) -> bool:
    """Whether another attempt may follow the one that ended with this record."""
    return record.error is not None and record.error.retryable


def _may_still_run(status: Status, record: RunResult | None, *, silent: bool) -> bool:
    """Whether the process may live where nobody sees it, such as on a node that lost its network."""
    if record is None or record.claim is None or status.exit_code is not None or status.phase is Phase.ENDED:
        return False
    claim = record.claim
    if claim.host and claim.host == processes.host_identity():
        return processes.runs(claim.pid, claim.pid_started)
    return not silent and _age(claim) < GIVEN_UP_AFTER * claim.lease_seconds


def is_doubtful(status: Status, record: RunResult | None) -> bool:
    """Whether the age of a heartbeat is all that speaks against a run, and may be an error of a clock.

    A machine that slept, clocks that differ or a store that was away make a heartbeat look old. Its run is given up for
    good only where the record has not changed for as long by the clock of one observer.
    """
    if record is None or record.claim is None or status.exit_code is not None or status.phase is Phase.ENDED:
        return False
    claim = record.claim
    seen_here = bool(claim.host) and claim.host == processes.host_identity()
    return not seen_here and _age(claim) <= EXPIRED_LEASES * claim.lease_seconds


def _age(claim: Claim) -> float:
    """Seconds since the heartbeat, by this machine's clock; without end where it is no time (a damaged record)."""
    beat = moment_of(claim.heartbeat_at)
    return math.inf if beat is None else (datetime.now(UTC) - beat).total_seconds()


def said(record: RunResult) -> str:
    """How a run, or an attempt, ended, in one sentence."""
    took = f" in {record.seconds:.1f} s" if record.seconds is not None else ""
    return f"{record.state}{took}" + (f": {record.error.message}" if record.error else "")


def earlier_verdicts(store: Store, output_uri: str) -> list[RunResult]:
    """The records of the attempts that others have followed, the oldest first. Objects that are no records are none."""
    found = []
    for stat in store.list(sibling(output_uri, f"{ATTEMPTS}/")):
        if stat.uri.endswith(VERDICT_ENDING):
            with suppress(InputNotFoundError, BadInputError):
                found.append(decode(store.read(stat.uri).data, RunResult))
    return sorted(found, key=lambda record: record.attempt)


def settle(store: Store, uri: str, verdict: RunResult, version: str) -> RunResult | None:
    """Put a verdict in a record's place; if the run wrote its own in the last moment, that one stands.

    Args:
        store: Of the record.
        uri: Its place.
        verdict: What the launcher makes of the run's end.
        version: Of what is known to lie there.

    Returns:
        The record that stands; ``None`` where the run has written there meanwhile, and so goes on.
    """
    try:
        store.write(uri, encode(verdict, indent=1), if_version=version)
    except OutputConflictError:
        return _own_verdict(store, uri)
    except StorageDeniedError:
        pass  # whoever may only read still learns the verdict
    return verdict


def _own_verdict(store: Store, uri: str) -> RunResult | None:
    try:
        record = decode(store.read(uri).data, RunResult)
    except (InputNotFoundError, BadInputError):
        return None
    return record if record.state.final else None
