"""What an earlier run left at an output's place: its notebook, its record, and perhaps its claim."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from nbstep_runner import processes
from nbstep_runner.contract import EXPIRED_LEASES, Claim, RunResult, RunSpec, RunState, decode, moment_of
from nbstep_runner.errors import BadInputError, InputNotFoundError, OutputConflictError
from nbstep_runner.session.places import Places
from nbstep_runner.stores import ABSENT, Store, check_name, check_output, checksum, sibling

LOOK_SECONDS: Final = 1.0
SLACK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Existing:
    """What is at a record's place.

    Attributes:
        record: The record; ``None`` where there is none.
        version: As the store that was asked names it, for a condition of a write through that store;
            :data:`ABSENT` where nothing is there.
        digest: The SHA-256 of its bytes, by which what several stores found is compared: two of one server may name
            the same version differently. Empty where nothing is there.
    """

    record: RunResult | None
    version: str
    digest: str = ""

    @property
    def claim(self) -> Claim | None:
        """The claim of a run that has not ended, alive or not."""
        return None if self.record is None or self.record.state.final else self.record.claim

    @property
    def tries(self) -> int:
        """How many owners in a row have begun here, and left without an end."""
        return self.claim.tries if self.claim else 0


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """What is at the output's place: its record, and the version of its notebook."""

    existing: Existing
    version: str


NO_RECORD: Final = Existing(None, ABSENT)
NOWHERE: Final = OutputPlace(NO_RECORD, ABSENT)
"""What is at standard output's place."""


def read_existing(store: Store, uri: str) -> Existing:
    """What is at a record's place; what is not a record of ours counts as none, to be replaced at its version."""
    try:
        blob = store.read(uri)
    except InputNotFoundError:
        return NO_RECORD
    digest = hashlib.sha256(blob.data).hexdigest()
    with suppress(BadInputError):
        return Existing(decode(blob.data, RunResult), blob.version, digest)
    return Existing(None, blob.version, digest)


def look_at_output(places: Places, open_store: Callable[[str], Store]) -> OutputPlace:
    """What is at the output's place now.

    Raises:
        BadInputError: The name cannot be an output's, or its record is that of another output.
        StorageUnavailableError, StorageDeniedError: The place cannot be reached.
    """
    check_name(places.output)
    store = open_store(places.output)
    with ThreadPoolExecutor(2, thread_name_prefix="nbstep-stat") as pool:
        checking = pool.submit(check_output, places.output, store)
        looking = pool.submit(store.stat, places.output)
        existing = read_existing(open_store(places.record), places.record)
    checking.result()
    stat = looking.result()
    _refuse_shared_record(places, existing.record)
    return OutputPlace(existing, ABSENT if stat is None else stat.version)


def _refuse_shared_record(places: Places, record: RunResult | None) -> None:
    """``out`` and ``out.ipynb`` would have one record, which can speak of one of them only."""
    name, other = (uri.rpartition("/")[2] for uri in (places.shown.output, record.output_uri if record else ""))
    if record is not None and name != other and sibling(name, "") == sibling(other, ""):
        raise BadInputError(
            f"{places.shown.record} is the record of another output, {record.output_uri}",
            hint="Choose an output whose name differs by more than '.ipynb', or remove that record and its notebook.",
        )


def next_attempt(spec: RunSpec, open_store: Callable[[str], Store]) -> RunSpec:
    """The same run, numbered after the attempt whose record is there: whoever starts it again may not know which.

    Raises:
        NbstepError: The record's place cannot be read.
    """
    place = Places.of(spec).record
    earlier = read_existing(open_store(place), place).record
    if earlier is None or earlier.run_id != spec.run_id:
        return spec
    return replace(spec, attempt=earlier.attempt + 1)


def is_last_word(record: RunResult | None) -> bool:
    """Whether a record answers for its work: a success, or a failure that no retry can mend."""
    if record is None or record.state not in (RunState.SUCCEEDED, RunState.FAILED):
        return False
    return record.error is None or not record.error.retryable


def is_settled(found: Existing, now: Existing) -> bool:
    """Whether a claim that was found has been settled for its run since: by a verdict that is no last word."""
    before, after = found.record, now.record
    if found.claim is None or before is None or after is None or not after.state.final or is_last_word(after):
        return False
    return (before.run_id, before.attempt) == (after.run_id, after.attempt)


def answers(record: RunResult | None, digest: str) -> bool:
    """Whether a record is the last word on the work of a digest."""
    return record is not None and record.spec_digest == digest and is_last_word(record)


def holds_what_is_recorded(place: OutputPlace, record: RunResult, uri: str, open_store: Callable[[str], Store]) -> bool:
    """Whether the notebook that a record speaks of, if it speaks of one, is still the one at the output's place.

    Versions tell where they are equal. Some mounts number the same file anew for each client: then its bytes tell.
    """
    if record.output_version is None or place.version == record.output_version:
        return True
    if place.version == ABSENT:
        return False
    return checksum(open_store(uri).read(uri).data) == record.output_checksum


def wait_until_free(store: Store, uri: str, existing: Existing, run_id: str) -> Existing:
    """Return what is at the record's place once no live claim of another run stands there.

    A claim of the same run is an earlier attempt's: it is waited for until its lease has passed without a heartbeat
    (judged by our own clock), because the engine that started us counts it as dead. So is one that looks expired: the
    clock that it was written by may be wrong, or ours. The time in which storage did not answer is no silence of the
    owner, whom it may not have answered either.

    Raises:
        OutputConflictError: Another run holds the output, or the owner that was waited for still lives.
    """
    claim = existing.claim
    if existing.record is None or claim is None or owner_is_gone(claim):
        return existing
    if existing.record.run_id != run_id and not _looks_expired(claim):
        raise _conflict(existing.record, claim)
    silent = 0.0
    while silent < claim.lease_seconds + SLACK_SECONDS:
        looked = time.monotonic()
        time.sleep(LOOK_SECONDS)
        silent += time.monotonic() - looked
        current = read_existing(store, uri)
        if current.record is None or current.record.state.final:
            return current
        if current.digest != existing.digest:
            raise _conflict(existing.record, claim)
    return existing


def refuse_changed(existing: Existing, digest: str) -> None:
    """Refuse a place that does not hold the bytes of this digest any more, which it held when this run was begun.

    Raises:
        OutputConflictError: Another process holds the output, or has written there.
    """
    if existing.digest == digest:
        return
    if existing.record is not None and existing.claim is not None:
        raise _conflict(existing.record, existing.claim)
    raise OutputConflictError("another process of the sweep has written to this output meanwhile")


def owner_is_gone(claim: Claim) -> bool:
    """Whether a claim's owner provably does not run any more: it ran here, and there is no such process."""
    return (
        bool(claim.host)
        and claim.host == processes.host_identity()
        and not processes.runs(claim.pid, claim.pid_started)
    )


def _conflict(record: RunResult, claim: Claim) -> OutputConflictError:
    return OutputConflictError(
        f"the run {record.run_id} (attempt {record.attempt}) holds this output; "
        f"its last heartbeat came at {claim.heartbeat_at}"
    )


def _looks_expired(claim: Claim) -> bool:
    """Whether the last heartbeat is old, as far as two machines' clocks can be compared."""
    beat = moment_of(claim.heartbeat_at)
    return beat is not None and (datetime.now(UTC) - beat).total_seconds() > EXPIRED_LEASES * claim.lease_seconds
