"""Signals, and work that a signal may cut short; also the duties of PID 1.

A signal handler here only notes what came. The run looks up at places of its choice: its message loop through a file
descriptor, blocking calls through :meth:`Supervisor.call`, which waits for the call and for signals at once.
"""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from nbstep_runner import descriptors
from nbstep_runner.errors import InterruptedRunError, NbstepError, StorageUnavailableError, TerminatedError

T = TypeVar("T")
STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the run has to stop, as its verdict, and since when, by the monotonic clock."""

    error: NbstepError
    at: float


class Supervisor:
    """Holds the process's signal handlers while a run is under way, and puts the old ones back.

    Later signals change nothing: what began at the first one, saving and publishing, goes on.

    Args:
        grace: Seconds from the first signal until the process has to be gone.
        on_child: Called by :meth:`attend` after children have ended; the place to reap orphans as PID 1.
        on_stop: Called once for each :meth:`wait` that goes on despite a stop, with the seconds that it still has.
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
        self._news: SimpleQueue[None] = SimpleQueue()
        self.stop: Stop | None = None
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._old_handlers: dict[signal.Signals, Any] = {}
        self._limits = {kind: resource.getrlimit(kind) for kind in LIMITS}
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
        """Do blocking work in a thread and return what it returns, or raise what it raises; see :meth:`wait`."""
        if not despite_stop:
            self.check()
        return self.wait(begin(work, doing), doing=doing, despite_stop=despite_stop, share=share)

    def wait(self, work: Future[T], *, doing: str, despite_stop: bool = False, share: float = 1.0) -> T:
        """Wait for work that was begun, and for signals at once; its value, or its error raised.

        Args:
            work: When it is not waited for any more, it is left to itself in its daemon thread.
            doing: What it is, for messages.
            despite_stop: Go on after a stop until the grace period ends.
            share: How much of what is left of the grace period it may take, from 0 to 1.

        Raises:
            InterruptedRunError, TerminatedError: The run was stopped, and ``despite_stop`` is not set.
            StorageUnavailableError: With ``despite_stop``, its share of the grace period ended first.
        """
        news: SimpleQueue[None] = SimpleQueue()
        self._news = news  # before the first look at what is there, so that nothing comes unnoticed after it
        work.add_done_callback(lambda _: news.put(None))
        until: float | None = None
        while True:
            if self.stop is not None and until is None:
                until = time.monotonic() + share * self.seconds_left
                if self._on_stop is not None:
                    self._on_stop(share * self.seconds_left)
            if work.done():
                return work.result()
            if not despite_stop:
                self.check()
            try:
                news.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                within = "the grace period" if share == 1 else "its share of the grace period"
                raise StorageUnavailableError(f"{doing} did not end within {within}") from None

    def abort(self, error: NbstepError) -> None:
        """Stop the run for a reason of our own; from any thread."""
        if self.stop is None:
            self.stop = Stop(error, time.monotonic())
        self._news.put(None)
        with suppress(OSError):  # it is full, and wakes already, or nobody waits any more
            self._writer.send(b"\0")

    def restore_limits(self) -> None:
        """Put this process's limits back as they were: its notebook may have lowered them.

        A hard limit that was lowered can be raised by root alone; then the soft one goes as far as it may, and what was
        kept for a low one on open files is used.
        """
        for kind, (soft, hard) in self._limits.items():
            try:
                resource.setrlimit(kind, (soft, hard))
            except (OSError, ValueError):
                highest = resource.getrlimit(kind)[1]
                if kind == resource.RLIMIT_NOFILE:
                    descriptors.release()
                with suppress(OSError, ValueError):
                    resource.setrlimit(kind, (highest, highest))

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.stop is None:
            self.stop = Stop(_verdict(signal.Signals(number)), time.monotonic())
        if self._old_handlers.get(signal.Signals(number)) is _note_early:  # what this process does next is stopped too
            _note_early(number, None)
        self._news.put(None)  # SimpleQueue.put is reentrant: made for handlers

    def __enter__(self) -> Self:
        for number in stopping():
            self._old_handlers[number] = signal.signal(number, self._note)
        self._old_handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._old_handlers[signal.SIGXCPU] = signal.signal(signal.SIGXCPU, lambda *_: self.restore_limits())
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
    """Note stopping signals from now on: for every supervisor that is still to come, and after the last for nobody.

    Without it a signal during the start of a PID 1 would be lost, and one at the very end would turn the exit code of a
    run that has its verdict into that of a killed process.
    """
    for number in stopping():
        signal.signal(number, _note_early)


def stopping() -> list[signal.Signals]:
    """The signals that stop a run; a hangup that is ignored, as below ``nohup``, is none."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in STOPPING if not (ignored and number == signal.SIGHUP)]


def _note_early(number: int, _frame: FrameType | None) -> None:
    if not _noted:
        _noted.append(Stop(_verdict(signal.Signals(number)), time.monotonic()))


def _verdict(number: signal.Signals) -> NbstepError:
    if number == signal.SIGINT:
        return InterruptedRunError("the run was interrupted (SIGINT)")
    return TerminatedError(f"the run was terminated ({number.name})")


def begin(work: Callable[[], T], doing: str) -> Future[T]:
    """Begin work in a daemon thread, named by what it does; where no thread can be started, do it in this one."""
    done: Future[T] = Future()
    try:
        threading.Thread(target=_do, args=(work, done), name=f"nbstep: {doing}", daemon=True).start()
    except RuntimeError:  # the limit of processes leaves no room for a thread
        _do(work, done)
    return done


def _do(work: Callable[[], T], done: Future[T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asks
        done.set_exception(error)
