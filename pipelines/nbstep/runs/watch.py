"""The one watch of runs: whoever waits for runs or shows them hears the same looks; one question serves all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from nbstep.backends.protocol import Backend, Status
from nbstep.views.status import RunStatus

SHORTEST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks: they grow rarer with the time since the newest listener came."""


class Watchable(Protocol):
    """What a watch has to know of a run."""

    @property
    def handle(self) -> str:
        """The string that its backend knows it by."""

    @property
    def backend(self) -> Backend:
        """Where it takes place."""

    def status_seen(self, seen: Status, *, read_record: bool) -> RunStatus:
        """How it stands, given what its place has just said; with its record in any case if ``read_record``."""


Look = RunStatus | Exception
"""What one look brought: how the run stands, or why that cannot be known now."""


AnyRun = TypeVar("AnyRun", bound=Watchable)


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    run: Watchable
    read_record: bool
    tell: Callable[[Look], None]


class Watch:
    """Looks at the runs of one backend for as long as somebody listens, on a thread of its own.

    A listener hears every look until its run has ended, or until it raises.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._listeners: list[_Listener] = []
        self._newest = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def listening(
        self, runs: Iterable[AnyRun], tell: Callable[[AnyRun, Look], None], *, read_record: bool = False
    ) -> Iterator[None]:
        """As :meth:`add`, for the time of the context."""
        listeners = self.add(runs, tell, read_record=read_record)
        try:
            yield
        finally:
            self._remove(listeners)

    def add(
        self, runs: Iterable[AnyRun], tell: Callable[[AnyRun, Look], None], *, read_record: bool = False
    ) -> list[_Listener]:
        """Tell of these runs from now on; the first look comes at once.

        Args:
            runs: Runs of this watch's backend.
            tell: Called on the watch's thread with a run and what a look at it brought.
            read_record: Read the record of a run under way too, which says how far it is.
        """
        listeners = [_Listener(run, read_record, partial(tell, run)) for run in runs]
        with self._lock:
            self._listeners += listeners
            self._newest = time.monotonic()
            self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="nbstep-watch", daemon=True)
                self._thread.start()
        return listeners

    def _remove(self, listeners: Sequence[_Listener]) -> None:
        with self._lock:
            self._listeners = [each for each in self._listeners if each not in listeners]

    def _watch(self) -> None:
        while True:
            self._wake.clear()
            with self._lock:
                listeners = list(self._listeners)
                if not listeners:
                    self._thread = None
                    _WATCHES.pop(self._backend, None)
                    return
                pause = min(LONGEST_PAUSE, SHORTEST_PAUSE + (time.monotonic() - self._newest) / 60)
            self._look(listeners)
            self._wake.wait(pause)

    def _look(self, listeners: Sequence[_Listener]) -> None:
        try:
            seen = self._backend.statuses(list(dict.fromkeys(each.run.handle for each in listeners)))
        except Exception as error:  # noqa: BLE001 - whoever listens has to learn of it, whatever it is
            for each in listeners:
                self._tell(each, error)
            return
        for each in listeners:
            try:
                look: Look = each.run.status_seen(seen[each.run.handle], read_record=each.read_record)
            except Exception as error:  # noqa: BLE001 - as above; one run's record says nothing of the others
                look = error
            self._tell(each, look)

    def _tell(self, listener: _Listener, look: Look) -> None:
        try:
            listener.tell(look)
        except Exception:  # noqa: BLE001 - such as a closed event loop: nobody is there to hear it
            self._remove([listener])
        if isinstance(look, RunStatus) and look.state.final:
            self._remove([listener])


_WATCHES: Final[dict[Backend, Watch]] = {}
"""The watches that somebody listens to, or has just asked for."""


def watch_of(backend: Backend) -> Watch:
    """The one watch of a backend's runs in this process, for as long as somebody listens."""
    return _WATCHES.setdefault(backend, Watch(backend))
