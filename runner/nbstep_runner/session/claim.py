"""The right to an output: a record in state ``running``, kept alive, so that of two runs one wins."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from nbstep_runner import processes
from nbstep_runner.contract import Claim, Progress, RunResult, encode
from nbstep_runner.errors import NbstepError, OutputConflictError
from nbstep_runner.session.earlier import read_existing
from nbstep_runner.stores import ABSENT, Store
from nbstep_runner.supervisor import Supervisor, begin

LEASE_SECONDS: Final = 30.0
HEARTBEATS: Final = 3
"""Heartbeats in a lease: two may be lost."""
SOON_SECONDS: Final = 1.0
DOING: Final = "claiming the output"


class OutputClaim:
    """One run's claim on its output, from the first try to the final record that takes its place.

    Args:
        open_store: Finds the store of the record.
        uri: The record's place.
        lost: Called, from the heartbeat's thread, when another run has taken the claim.
        progress: How far the run is now; called from the heartbeat's thread.
        soon: Make the first heartbeat after a second. What a store promises of a write that replaces another is found
            out by the first such write, which takes a tenth of a second: more than a stop at short notice may leave.
    """

    def __init__(
        self,
        open_store: Callable[[str], Store],
        uri: str,
        lost: Callable[[NbstepError], None],
        progress: Callable[[], Progress | None] = lambda: None,
        *,
        soon: bool = False,
    ) -> None:
        self._soon = soon
        self._progress = progress
        self._open_store = open_store
        self._uri = uri
        self._lost = lost
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._early: Future[None] | None = None
        self._record: RunResult | None = None
        self._version = ABSENT

    @property
    def held(self) -> bool:
        """Whether this run has taken it, as far as is known; an early try is known once it is settled."""
        return self._record is not None and self._early is None

    def take_early(self, record: RunResult) -> None:
        """Try for a free place in the background: it saves the round trip where the inputs are read meanwhile."""
        with suppress(NbstepError):  # whoever needs the place will be told
            self._open_store(self._uri)
            self._early = begin(partial(self.take, record, ABSENT), DOING)

    def settle(self, supervisor: Supervisor) -> None:
        """Know whether the early try has won; it has not where the place was not free, or could not be written.

        Waits despite a stop, for as long as the grace period lasts: nobody would end a claim that nobody knows of.
        """
        if self._early is None:
            return
        with suppress(Exception):  # as above, whatever a store's library raises
            supervisor.wait(self._early, doing=DOING, despite_stop=True)
        if self._early.done():
            self._early = None

    def take(self, record: RunResult, version: str, *, tries: int = 1) -> None:
        """Write the claim over what was at ``version``, and keep it alive from now on.

        Args:
            record: What is known of the run.
            version: Of what it replaces.
            tries: See :class:`~nbstep_runner.contract.Claim`.

        Raises:
            OutputConflictError: Another run was faster.
        """
        store = self._open_store(self._uri)
        claim = Claim(
            token=secrets.token_hex(16),
            host=processes.host_identity(),
            pid=os.getpid(),
            pid_started=processes.started_at(os.getpid()),
            heartbeat_at=_now(),
            lease_seconds=LEASE_SECONDS,
            best_effort=not store.conditional_write,
            tries=tries,
        )
        claimed = replace(record, claim=claim)
        self._version = store.write(self._uri, encode(claimed, indent=1), if_version=version)
        self._record = claimed
        threading.Thread(target=self._keep_alive, name="nbstep-heartbeat", daemon=True).start()

    def describe(self, record: RunResult, *, at_once: bool = False) -> None:
        """Know more of the run by now: the next heartbeat writes it down, or one that is made now in the background."""
        with self._lock:
            if self._record is not None:
                self._record = replace(record, claim=self._record.claim)
        if at_once:
            begin(self._beat, "a heartbeat")

    def confirm(self) -> None:
        """Write a heartbeat now: afterwards the claim is ours for a whole lease.

        Raises:
            OutputConflictError: The claim is another's by now, or was removed.
        """
        with self._lock:
            if self._record is None or self._record.claim is None or self._ended.is_set():
                return
            best_effort = not self._open_store(self._uri).conditional_write  # some stores are found out by a write
            claim = replace(self._record.claim, heartbeat_at=_now(), best_effort=best_effort)
            self._record = replace(self._record, claim=claim, progress=self._progress())
            self._replace(self._record)

    def commit(self, record: RunResult) -> None:
        """Put the final record in the claim's place; once more, where it has to say more.

        Raises:
            OutputConflictError: The claim is another's by now, or was removed.
        """
        self._ended.set()
        with self._lock:
            self._replace(record)

    def _replace(self, record: RunResult) -> None:
        """Write over our record; its version is another than was known where the answer to a write was lost."""
        store, data = self._open_store(self._uri), encode(record, indent=1)
        try:
            self._version = store.write(self._uri, data, if_version=self._version)
        except OutputConflictError as error:
            existing = read_existing(store, self._uri)
            own = self._record.claim if self._record else None
            found = existing.record.claim if existing.record else None
            if own is None or found is None or found.token != own.token:
                raise _lost_to(existing.record) from error
            self._version = store.write(self._uri, data, if_version=existing.version)

    def _keep_alive(self) -> None:
        interval = LEASE_SECONDS / HEARTBEATS
        wait = SOON_SECONDS if self._soon else interval
        while not self._ended.wait(wait):
            if not self._beat():
                return
            wait = interval

    def _beat(self) -> bool:
        """Make a heartbeat; whether the claim may be ours still."""
        try:
            self.confirm()
        except OutputConflictError as error:
            self._lost(error)
            return False
        except Exception:  # noqa: BLE001, S110 - whatever a store's library raises: the lease outlasts it, or another
            pass  # takes over and wins
        return True


def _lost_to(record: RunResult | None) -> OutputConflictError:
    if record is None:
        return OutputConflictError("this run's claim on its output was removed while it ran")
    return OutputConflictError(f"the run {record.run_id} (attempt {record.attempt}) has taken this output meanwhile")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
