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
from hashlib import sha256
from typing import Final

from nbstep_runner import processes
from nbstep_runner.contract import Claim, Progress, RunResult, encode
from nbstep_runner.errors import NbstepError, OutputConflictError, StorageUnavailableError
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
        entrust: Gets the token of a claim that is about to be written: whoever outlives this process can settle it.
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
        entrust: Callable[[str], None] = lambda _: None,
        soon: bool = False,
    ) -> None:
        self._soon = soon
        self._entrust = entrust
        self._progress = progress
        self._open_store = open_store
        self._uri = uri
        self._lost = lost
        self._writing = threading.Lock()
        """For as long as a write takes, with its retries; who only describes the run does not wait for it."""
        self._ended = threading.Event()
        self._early: Future[None] | None = None
        self._known: RunResult | None = None
        self._claim: Claim | None = None
        self._version = ABSENT
        self._loss: OutputConflictError | None = None
        self._final: str | None = None
        """The SHA-256 of the final record, once it is sent."""
        self._committed = False

    @property
    def held(self) -> bool:
        """Whether this run has taken it, as far as is known; an early try is known once it is settled."""
        return self._claim is not None and self._early is None

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
        self._entrust(claim.token)
        taken: Future[bool] = Future()
        # Begun first: where no thread can be started, no claim is written that nobody would keep alive.
        threading.Thread(target=self._keep_alive, args=(taken,), name="nbstep-heartbeat", daemon=True).start()
        try:
            self._version = store.write(self._uri, encode(replace(record, claim=claim), indent=1), if_version=version)
            self._known, self._claim = record, claim
        finally:
            taken.set_result(self._claim is claim)

    def describe(self, record: RunResult, *, at_once: bool = False) -> None:
        """Know more of the run by now: the next heartbeat writes it down, or one that is made now in the background."""
        self._known = record
        if at_once:
            begin(self._beat, "a heartbeat")

    def confirm(self) -> None:
        """Make sure that the output is ours: by a heartbeat, which makes it so for a whole lease.

        From the commit on no heartbeat is made. Its outcome is waited for, and the record has to be in its place
        still: the next attempt may begin as soon as it is there.

        Raises:
            OutputConflictError: The claim is another's by now, or was removed.
            StorageUnavailableError: The final record is not known to have arrived.
        """
        with self._writing:
            if self._final is None:
                self._make_heartbeat()
            else:
                self._confirm_final(self._final)

    def commit(self, record: RunResult) -> None:
        """Put the final record in the claim's place; once more, where it has to say more.

        Raises:
            OutputConflictError: The claim is another's by now, or was removed.
        """
        self._ended.set()
        with self._writing:
            data = encode(record, indent=1)
            self._final, self._committed = sha256(data).hexdigest(), False
            self._replace(data)
            self._committed = True

    def _make_heartbeat(self) -> None:
        if self._claim is None or self._known is None:
            return
        best_effort = not self._open_store(self._uri).conditional_write  # some stores are found out by a write
        self._claim = replace(self._claim, heartbeat_at=_now(), best_effort=best_effort)
        self._replace(encode(replace(self._known, claim=self._claim, progress=self._progress()), indent=1))

    def _confirm_final(self, digest: str) -> None:
        if self._loss is not None:
            raise self._loss
        if not self._committed:
            raise StorageUnavailableError("this run's record is not known to have arrived")
        existing = read_existing(self._open_store(self._uri), self._uri)
        if existing.digest != digest:
            self._loss = _lost_to(existing.record)
            raise self._loss

    def _replace(self, data: bytes) -> None:
        """Write over our record, unless it was lost: then it stays so, whatever is in its place now."""
        if self._loss is not None:
            raise self._loss
        try:
            self._write(data)
        except OutputConflictError as error:
            self._loss = error
            raise

    def _write(self, data: bytes) -> None:
        """As :meth:`_replace`; our record's version is another than was known where an answer was lost."""
        store = self._open_store(self._uri)
        try:
            self._version = store.write(self._uri, data, if_version=self._version)
        except OutputConflictError as error:
            existing = read_existing(store, self._uri)
            found = existing.record.claim if existing.record else None
            if self._claim is None or found is None or found.token != self._claim.token:
                raise _lost_to(existing.record) from error
            self._version = store.write(self._uri, data, if_version=existing.version)

    def _keep_alive(self, taken: Future[bool]) -> None:
        if not taken.result():
            return
        interval = LEASE_SECONDS / HEARTBEATS
        wait = SOON_SECONDS if self._soon else interval
        while not self._ended.wait(wait):
            if not self._beat():
                return
            wait = interval

    def _beat(self) -> bool:
        """Make a heartbeat, unless the run has ended; whether the claim may be ours still."""
        try:
            with self._writing:
                if not self._ended.is_set():
                    self._make_heartbeat()
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
