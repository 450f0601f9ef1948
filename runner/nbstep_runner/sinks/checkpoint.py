"""The partial notebook in storage: written in the background, the newest one wins, a failure is a warning."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from nbstep_runner.contract import Event, Notice, Severity
from nbstep_runner.engine.document import MEMORY_BYTES, Snapshot, write_snapshot
from nbstep_runner.errors import NbstepError
from nbstep_runner.stores import Store, redact


class Checkpointer:
    """Writes snapshots to one place, from a thread of its own, one at a time.

    The thread is there before the first cell: a notebook that starts processes up to their limit leaves none for later.

    Args:
        store: Where the partial notebook lies.
        uri: Its place.
        scratch: Holds large snapshots while they are sent.
        emit: Tells of the first failure, and of a write that has not ended with the run.
    """

    def __init__(self, store: Store, uri: str, scratch: Path, emit: Callable[[Event], None]) -> None:
        self._store = store
        self._uri = uri
        self._scratch = scratch
        self._emit = emit
        self._newest: Snapshot | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._failure = ""
        self._unfinished = ""
        self.tried = False
        """Whether there may be a partial notebook in the store."""
        self._thread = threading.Thread(target=self._work, name="nbstep-checkpoint", daemon=True)
        self._thread.start()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the run's record should know.

        That a snapshot could not be written, and why the first; that one was still being written at the end.
        """
        return tuple(warning for warning in (self._failure, self._unfinished) if warning)

    def offer(self, snapshot: Snapshot) -> None:
        """Write this snapshot next; one that has not been begun yet is dropped for it."""
        with self._changed:
            self._newest = snapshot
            self.tried = True
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Begin no more snapshots and wait for the one that is being written, for at most ``timeout`` seconds.

        No store can take a write back: one that has not ended by then may land after the partial notebook was removed.
        That is a warning.
        """
        with self._changed:
            self._closed = True
            self._newest = None
            self._changed.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._unfinished = f"a checkpoint was still being written at the end: {redact(self._uri)} may be left"
            self._warn(self._unfinished)

    def _work(self) -> None:
        while (snapshot := self._next()) is not None:
            try:
                self._write(snapshot)
            except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the next one may succeed
                self._failed(error)

    def _next(self) -> Snapshot | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest is not None)
            snapshot, self._newest = self._newest, None
            return snapshot

    def _write(self, snapshot: Snapshot) -> None:
        if snapshot.size <= MEMORY_BYTES:
            self._store.write(self._uri, b"".join(snapshot.chunks()))
            return
        path = write_snapshot(snapshot, self._scratch)
        try:
            self._store.write(self._uri, path)
        finally:
            path.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> None:
        if self._failure or self._unfinished:
            return
        reason = error.message if isinstance(error, NbstepError) else f"{type(error).__name__}: {error}"
        self._failure = redact(f"a checkpoint could not be written: {reason}; the run goes on")
        self._warn(self._failure)

    def _warn(self, message: str) -> None:
        self._emit(Notice(message=message, severity=Severity.WARNING, fields={"uri": redact(self._uri)}))
