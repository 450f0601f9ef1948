"""Runs that somebody listens to: the log of each is followed once, whatever the number of its listeners.

A thread copies the log into a :class:`Spool`, in the order of its numbers, and the watch of the run's place tells how
the run stands. Listeners are rung when there is something new, and look for themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from nbstep.runs.run import Run
from nbstep.runs.watch import Look, watch_of
from nbstep.server.problems import busy
from nbstep.server.spool import Number, Spool, is_number
from nbstep.views.log_lines import LogLine
from nbstep.views.status import RunStatus

Ring = Callable[[], None]
"""Tells a listener that there is something new; called on any thread."""
BUSY_SECONDS: Final = 10
"""When a client that was one too many may come again."""


def number_of(line: LogLine) -> Number | None:
    """The number of a line; ``None`` of what has none, such as the last words of a crash."""
    attempt, seq = line.attempt, line.seq
    return (attempt, seq) if attempt is not None and seq is not None and is_number(attempt, seq) else None


class Following:
    """One run's log and standing, kept up to date while somebody listens.

    Attributes:
        spool: The log so far. A line whose number has a gap before it waits, with all that follow it, until its
            attempt is over: so the numbers only ever rise, and whoever has one has all before it.
        look: How the run stands, or why that is not known; ``None`` before the first look.
        complete: Nothing more will come into the spool.
        error: Why the log cannot be followed any further.
    """

    def __init__(self, run: Run, lock: threading.Lock, forget: Callable[[Following], None]) -> None:
        self.run = run
        self.spool = Spool()
        self.look: Look | None = None
        self.complete = False
        self.error: Exception | None = None
        self._rings: list[Ring] = []
        self._lock = lock
        self._forget = forget
        self._ended = threading.Event()
        self._watching = ExitStack()
        self._last: Number = (0, 0)
        self._held_back = self._finished = False

    def join(self, ring: Ring) -> None:
        """Ring this listener from now on; under the lock."""
        if not self._rings:
            self.look = None  # of the time before, when somebody listened last
            self._ended.clear()
            watch = watch_of(self.run.backend)
            self._watching.enter_context(watch.listening([self.run], self._hear, read_record=True))
        self._rings.append(ring)

    def leave(self, ring: Ring) -> None:
        """Ring it no more; under the lock. Nothing is looked at for nobody."""
        self._rings.remove(ring)
        if not self._rings:
            self._watching.close()
            self._ended.set()

    def start(self) -> None:
        """Begin to follow the log."""
        threading.Thread(target=self._follow, name=f"nbstep-events-{self.run.id}", daemon=True).start()

    def ring_all(self) -> None:
        """Wake every listener, which then looks for news."""
        for ring in tuple(self._rings):
            ring()

    def _hear(self, _: Run, look: Look) -> None:
        self.look = look
        if isinstance(look, Exception) or look.state.final:
            self._ended.set()
        self.ring_all()

    def _follow(self) -> None:
        try:
            for line in self.run.lines(follow=True, until=self._is_for_nobody):
                if self._is_for_nobody():
                    return
                self._take(line)
                self.ring_all()
            if not self._has_ended():
                return
            if self._held_back or not self._finished:
                self._take_rest(None)
            self.complete = True
        except Exception as error:  # noqa: BLE001 - whoever listens has to learn of it, whatever it is
            self.error = error
        with self._lock:
            self._forget(self)
        self.ring_all()

    def _has_ended(self) -> bool:
        """Wait until it is known how the run ended, or why that is not known; ``False`` if nobody listens any more.

        Somebody may have come just after the last one left: that one's watch has not told anything yet.
        """
        while True:
            self._ended.wait()
            if self._is_for_nobody():
                return False
            look = self.look
            if isinstance(look, Exception) or (look is not None and look.state.final):
                return True

    def _is_for_nobody(self) -> bool:
        with self._lock:
            if not self._rings:
                self._forget(self)
            return not self._rings

    def _take(self, line: LogLine) -> None:
        """Put a line into the spool, or leave it for later where one before it has not come."""
        number = number_of(line)
        if number is None or number <= self._last:  # of an attempt that was begun again under its number
            self.spool.add(None, line.raw)
            return
        if number[0] > self._last[0] and self._held_back:
            self._take_rest(number[0])
        follows = number[1] == 1 if number[0] > self._last[0] else number[1] == self._last[1] + 1
        if follows:
            self._add(number, line)
        else:
            self._held_back = True

    def _take_rest(self, before: int | None) -> None:
        """Put all that can still be had into the spool, up to an attempt; what is missing then has been lost."""
        numbered = ((number_of(line), line) for line in self.run.lines())
        rest = {
            number: line
            for number, line in numbered
            if number is not None and number > self._last and (before is None or number[0] < before)
        }
        for number in sorted(rest):
            self._add(number, rest[number])
        self._held_back = False

    def _add(self, number: Number, line: LogLine) -> None:
        self.spool.add(number, line.raw)
        self._last, self._finished = number, line.event == "run-finished"


class Streams:
    """All runs that somebody listens to, and how many do.

    Args:
        most: Listeners at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rings: list[Ring] = []
        self._followed: dict[Hashable, Following] = {}
        self._lock = threading.Lock()
        self.closing = False

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._rings)

    @contextmanager
    def listening(self, key: Hashable, run: Run, ring: Ring) -> Iterator[Following]:
        """What is known of a run, for the time of the context.

        Args:
            key: The same for everybody who listens to that run.
            run: Followed if nobody listens to it yet.
            ring: Called when there is something new.

        Raises:
            Problem: As many listen as may, or the server is about to end.
        """
        with self.room(ring):
            with self._lock:
                following = self._followed.get(key)
                if following is None:
                    following = Following(run, self._lock, partial(self._drop, key))
                    self._followed[key] = following
                    following.start()
                following.join(ring)
            try:
                yield following
            finally:
                with self._lock:
                    following.leave(ring)

    @contextmanager
    def room(self, ring: Ring) -> Iterator[None]:
        """A place among all listeners, for the time of the context.

        Args:
            ring: Called when the server ends.

        Raises:
            Problem: As of :meth:`listening`.
        """
        with self._lock:
            if self.count >= self._most or self.closing:
                full = f"{self.count} streams are open, as many as may be"
                raise busy("the server ends" if self.closing else full, BUSY_SECONDS)
            self._rings.append(ring)
        try:
            yield
        finally:
            with self._lock:
                self._rings.remove(ring)

    def close(self) -> None:
        """End all streams, each with a hint when to come again."""
        self.closing = True
        for ring in tuple(self._rings):
            ring()

    def _drop(self, key: Hashable, following: Following) -> None:
        """Forget that one; another may be followed under its key by now."""
        if self._followed.get(key) is following:
            del self._followed[key]


def is_over(following: Following) -> bool:
    """Whether the run has ended and all of its log is in the spool."""
    return following.complete and isinstance(following.look, RunStatus) and following.look.state.final
