"""Signals, and work that a signal may cut short; also the duties of PID 1.

A signal handler here only notes what came. The run looks up at places of its choice: its message loop through a file
descriptor, blocking calls through :meth:`Supervisor.call`, which waits for the call and for signals at once.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from nbstep_runner.errors import InterruptedRunError, NbstepError, StorageUnavailableError, TerminatedError

T = TypeVar("T")
STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the run has to stop, as its verdict, and since when, by the monotonic clock."""

    error: NbstepError
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: its value or its error."""

    value: Any
    error: BaseException | None

    def unwrap(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


Inbox = SimpleQueue[Answer | None]
"""Where a call's answer arrives; ``None`` says that a signal came."""


class Supervisor:
    """Holds the process's signal handlers while a run is under way, and puts the old ones back.

    Later signals change nothing: what began at the first one, saving and publishing, goes on.

    Args:
        grace: Seconds from the first signal until the process has to be gone.
        on_child: Called by :meth:`attend` after children have ended; the place to reap orphans as PID 1.
        on_stop: Called once for each :meth:`call` that goes on despite a stop, with the seconds that it still has.
    """

    def __init__(
        self,
        grace: float,
        *,
        on_child: Callable[[], None] | None = None,
        on_stop: Callable[[float], None] | None = None,
    ) -> None:
        self._grace = grace
        self._on_child = on_child
        self._on_stop = on_stop
        self._inbox: Inbox = SimpleQueue()
        self.stop: Stop | None = None
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._old_handlers: dict[signal.Signals, Any] = {}
        self._old_wakeup = -1

    @property
    def wake(self) -> int:
        """A file descriptor that becomes readable when a signal has come; :meth:`attend` then reads it."""
        return self._reader.fileno()

    @property
    def seconds_left(self) -> float:
        """What is left of the grace period; without a stop, all of it."""
        if self.stop is None:
            return self._grace
        return max(0.0, self.stop.at + self._grace - time.monotonic())

    def attend(self) -> None:
        """Look up after :attr:`wake` became readable: empty it, and reap children."""
        numbers = b""
        with suppress(BlockingIOError):
            numbers = self._reader.recv(4096)
        if signal.SIGCHLD in numbers and self._on_child is not None:
            self._on_child()

    def check(self) -> None:
        """Raise the verdict of the signal that came, if one came."""
        if self.stop is not None:
            raise self.stop.error

    def call(self, work: Callable[[], T], *, doing: str, despite_stop: bool = False, share: float = 1.0) -> T:
        """Do blocking work in a thread and return what it returns, or raise what it raises.

        Where no thread can be started, it is done in this one, and a signal waits for its end.

        Args:
            work: What to do. When the run is stopped meanwhile, it is left to itself in its daemon thread.
            doing: What it is, for messages.
            despite_stop: Go on after a stop until the grace period ends.
            share: How much of what is left of the grace period it may take, from 0 to 1.

        Raises:
            InterruptedRunError, TerminatedError: The run was stopped, and ``despite_stop`` is not set.
            StorageUnavailableError: With ``despite_stop``, its share of the grace period ended first.
        """
        inbox: Inbox = SimpleQueue()
        self._inbox = inbox  # before the check, so that a signal after it is not told to the inbox of an earlier call
        if not despite_stop:
            self.check()
        try:
            threading.Thread(target=_deliver, args=(work, inbox), name=f"nbstep: {doing}", daemon=True).start()
        except RuntimeError:  # the limit of processes leaves no room for a thread
            _deliver(work, inbox)
        until: float | None = None
        while True:
            if self.stop is not None and until is None:
                until = time.monotonic() + share * self.seconds_left
                if self._on_stop is not None:
                    self._on_stop(share * self.seconds_left)
            try:
                answer = inbox.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                within = "the grace period" if share == 1 else "its share of the grace period"
                raise StorageUnavailableError(f"{doing} did not end within {within}") from None
            if answer is not None:
                result: T = answer.unwrap()
                return result
            if not despite_stop:
                self.check()

    def abort(self, error: NbstepError) -> None:
        """Stop the run for a reason of our own; from any thread."""
        if self.stop is None:
            self.stop = Stop(error, time.monotonic())
        self._inbox.put(None)
        with suppress(OSError):  # it is full, and wakes already, or nobody waits any more
            self._writer.send(b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.stop is None:
            self.stop = Stop(_verdict(signal.Signals(number)), time.monotonic())
        self._inbox.put(None)  # SimpleQueue.put is reentrant: made for handlers

    def __enter__(self) -> Self:
        for number in STOPPING:
            self._old_handlers[number] = signal.signal(number, self._note)
        self._old_handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._old_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if _noted:
            self.stop = self.stop or _noted[0]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self.close()

    def close(self) -> None:
        """Close what :attr:`wake` names; for a supervisor that was never entered, because the signals are another's."""
        self._reader.close()
        self._writer.close()


_noted: Final[list[Stop]] = []


def note_signals() -> None:
    """Note stopping signals from now on: for the supervisor that is still to come, and after it for nobody.

    Without it a signal during the start of a PID 1 would be lost, and one at the very end would turn the exit code of a
    run that has its verdict into that of a killed process.
    """
    for number in STOPPING:
        signal.signal(number, _note_early)


def _note_early(number: int, _frame: FrameType | None) -> None:
    if not _noted:
        _noted.append(Stop(_verdict(signal.Signals(number)), time.monotonic()))


def _verdict(number: signal.Signals) -> NbstepError:
    if number == signal.SIGINT:
        return InterruptedRunError("the run was interrupted (SIGINT)")
    return TerminatedError(f"the run was terminated ({number.name})")


def _deliver(work: Callable[[], Any], inbox: Inbox) -> None:
    try:
        inbox.put(Answer(work(), None))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked
        inbox.put(Answer(None, error))


def is_pid_one() -> bool:
    """Whether this process is the init of its PID namespace, as in a container."""
    return os.getpid() == 1
