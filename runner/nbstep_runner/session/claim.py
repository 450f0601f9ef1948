"""Owning an output: a record in state ``running``, kept alive, so that of two runs one wins."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nbstep_runner.contract import Claim, RunResult, decode, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, OutputConflictError
from nbstep_runner.stores import ABSENT, Store

LEASE_SECONDS: Final = 30.0
HEARTBEATS: Final = 3
"""Heartbeats in a lease: two may be lost."""
LOOK_SECONDS: Final = 1.0
SLACK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Existing:
    """The record that is at the output's place, and its version; no record and :data:`ABSENT` where there is none."""

    record: RunResult | None
    version: str


def read_existing(store: Store, uri: str) -> Existing:
    """What is at a record's place; what is not a record of ours counts as none, to be replaced at its version."""
    try:
        blob = store.read(uri)
    except InputNotFoundError:
        return Existing(None, ABSENT)
    with suppress(BadInputError):
        return Existing(decode(blob.data, RunResult), blob.version)
    return Existing(None, blob.version)


def wait_until_free(store: Store, uri: str, existing: Existing, run_id: str) -> Existing:
    """Return what is at the record's place once no live claim of another run stands there.

    A claim of the same run is an earlier attempt's: it is waited for until its lease has passed without a heartbeat
    (judged by our own clock, so that no two clocks are compared), because the engine that started us counts it as dead.

    Raises:
        OutputConflictError: Another run holds the output, or the earlier attempt still lives.
    """
    claim = existing.record.claim if existing.record else None
    if existing.record is None or claim is None or existing.record.state.final or owner_is_gone(claim):
        return existing
    if existing.record.run_id != run_id and not _expired(claim):
        raise _conflict(existing.record, claim)
    deadline = time.monotonic() + claim.lease_seconds + SLACK_SECONDS
    while time.monotonic() < deadline and not _expired(claim):
        time.sleep(LOOK_SECONDS)
        current = read_existing(store, uri)
        if current.record is None or current.record.state.final:
            return current
        if current.version != existing.version:
            raise _conflict(existing.record, claim)
    return existing


def _conflict(record: RunResult, claim: Claim) -> OutputConflictError:
    return OutputConflictError(
        f"the run {record.run_id} (attempt {record.attempt}) holds this output; "
        f"its last heartbeat came at {claim.heartbeat_at}"
    )


def _expired(claim: Claim) -> bool:
    """Whether the last heartbeat is so old that no clock's error explains it."""
    with suppress(ValueError):
        age = datetime.now(UTC) - datetime.fromisoformat(claim.heartbeat_at)
        return age.total_seconds() > 10 * claim.lease_seconds
    return False


def host_identity() -> str:
    """Names this machine's boot and PID namespace: where a pid means the same process."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return ""


def started_at(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), field 22 of ``stat``); 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def owner_is_gone(claim: Claim) -> bool:
    """Whether a claim's owner provably does not run any more: it ran here, and there is no such process."""
    return bool(claim.host) and claim.host == host_identity() and started_at(claim.pid) != claim.pid_started


class ClaimKeeper:
    """Holds the claim from taking it to committing the final record, with a heartbeat in between.

    Args:
        store: Where the record lies.
        uri: The record's place.
        lost: Called, from the heartbeat's thread, when another run has taken the claim.
    """

    def __init__(self, store: Store, uri: str, lost: Callable[[NbstepError], None]) -> None:
        self._store = store
        self._uri = uri
        self._lost = lost
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._record: RunResult | None = None
        self._version = ABSENT

    def take(self, record: RunResult, version: str) -> None:
        """Write the claim over what was at ``version``, and keep it alive from now on.

        Raises:
            OutputConflictError: Another run was faster.
        """
        claim = Claim(
            token=secrets.token_hex(16),
            host=host_identity(),
            pid=os.getpid(),
            pid_started=started_at(os.getpid()),
            heartbeat_at=_now(),
            lease_seconds=LEASE_SECONDS,
            best_effort=not self._store.conditional_write,
        )
        self._record = replace(record, claim=claim)
        self._version = self._store.write(self._uri, encode(self._record, indent=1), if_version=version)
        threading.Thread(target=self._keep_alive, name="nbstep-heartbeat", daemon=True).start()

    def describe(self, record: RunResult) -> None:
        """Know more of the run by now: the next heartbeat writes it down."""
        with self._lock:
            if self._record is not None:
                self._record = replace(record, claim=self._record.claim)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the record should know of the claim."""
        if self._store.conditional_write:
            return ()
        return ("the store has no conditional writes: a second run of this output was unlikely, not impossible",)

    def confirm(self) -> None:
        """Write a heartbeat now.

        Raises:
            OutputConflictError: The claim is another's by now.
        """
        with self._lock:
            if self._record is None or self._record.claim is None or self._ended.is_set():
                return
            best_effort = not self._store.conditional_write  # some stores are found out by the first write
            claim = replace(self._record.claim, heartbeat_at=_now(), best_effort=best_effort)
            self._record = replace(self._record, claim=claim)
            self._version = self._replace(self._record)

    def commit(self, record: RunResult) -> None:
        """Replace the claim by the final record.

        Raises:
            OutputConflictError: The claim is another's by now; its record stands.
        """
        self.stop()
        with self._lock:
            self._version = self._replace(record)

    def _replace(self, record: RunResult) -> str:
        """Write over our claim; its version is another than was known where the answer to a heartbeat was lost."""
        data = encode(record, indent=1)
        try:
            return self._store.write(self._uri, data, if_version=self._version)
        except OutputConflictError:
            existing = read_existing(self._store, self._uri)
            if not self._is_ours(existing.record):
                raise
            return self._store.write(self._uri, data, if_version=existing.version)

    def _is_ours(self, found: RunResult | None) -> bool:
        """Whether a record holds the token that this keeper made."""
        own = self._record.claim if self._record else None
        return own is not None and found is not None and found.claim is not None and found.claim.token == own.token

    def stop(self) -> None:
        """End the heartbeat."""
        self._ended.set()

    def _keep_alive(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / HEARTBEATS):
            try:
                self.confirm()
            except OutputConflictError as error:
                self._lost(error)
                return
            except NbstepError:
                continue  # the store does not answer: the lease outlasts it, or another takes over and wins


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
