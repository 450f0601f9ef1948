"""The worker's loop: as many forked processes as the plan says, each making one run after another."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

from nbstep_runner.contract import RunResult, RunState, SweepEvent, SweepSpec, SweepTurn, decode, encode
from nbstep_runner.errors import BadInputError, ExitCode, InternalError
from nbstep_runner.processes import become_subreaper, kill_tree, reap_zombies
from nbstep_runner.session import results
from nbstep_runner.supervisor import STOPPING, stopping
from nbstep_runner.sweep.child import Task, serve
from nbstep_runner.sweep.pool import WarmPool
from nbstep_runner.sweep.warm import warm_up

STDIN: Final = 0
STDOUT: Final = 1
READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Child:
    """A process that makes runs, and where it takes tasks and gives records."""

    pid: int
    tasks: Connection

    def end(self) -> int:
        """Let it go, wait for its end, and return its wait status."""
        self.tasks.close()
        return os.waitpid(self.pid, 0)[1]


class Worker:
    """One plan, carried out. The process has one thread, so that it can be forked.

    Args:
        pool: Where kernels can be had.
        told: Each run is begun when a line after the plan names it, and others make runs of this plan too; else all
            are, in order.
    """

    def __init__(self, pool: WarmPool, *, told: bool = False) -> None:
        self._pool = pool
        self._told = told
        self._unread = b""
        self._waiting: deque[SweepTurn] = deque()
        self._running: dict[Child, int] = {}
        self._idle: list[Child] = []
        self._stop: signal.Signals | None = None
        self._wake, self._writer = os.pipe()

    def work(self) -> int:
        """Read the plan, carry it out, tell what comes of it; leave no process behind."""
        become_subreaper()
        self._take_signals()
        plan = self._read_plan()
        if plan is None:
            return int(ExitCode.SUCCEEDED)
        self._plan = plan
        if not self._told:
            self._waiting.extend(SweepTurn(index=index) for index in range(len(plan.specs)))
        self._pool.prepare(plan.kernel, plan.language, plan.modules)
        warm_up(plan.specs)
        try:
            self._carry_out()
        finally:
            while self._idle:
                self._idle.pop().end()
            self._pool.close()
            kill_tree(0, grace=0.0, own_all_children=True)
        return int(ExitCode.SUCCEEDED)

    def _take_signals(self) -> None:
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in stopping():
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._stop = self._stop or signal.Signals(number)

    def _read_plan(self) -> SweepSpec | None:
        """The plan; ``None`` where the launcher thought better of it."""
        pieces = [b""]
        while b"\n" not in pieces[-1]:
            pieces.append(os.read(STDIN, READ_BYTES))
            if not pieces[-1]:
                return None
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        try:
            return decode(line, SweepSpec)
        except BadInputError as error:
            sys.stderr.write(f"{error.message}\n")
            return None

    def _carry_out(self) -> None:
        forwarded, more = False, self._told
        while True:
            more = more and self._take_turns()
            while self._waiting and len(self._running) < self._plan.jobs and self._stop is None:
                self._start(self._waiting.popleft())
            if not self._running and (self._stop or not (self._waiting or more)):
                return
            if self._stop and not forwarded:
                forwarded = True
                self._signal_all(self._stop)
            self._listen()

    def _take_turns(self) -> bool:
        """Note the runs that have been named; whether others can come."""
        *lines, self._unread = self._unread.split(b"\n")
        turns = [decode(line, SweepTurn) for line in lines]
        self._waiting.extend(turn for turn in turns if turn.index is not None)
        return all(turn.index is not None for turn in turns)

    def _listen(self) -> None:
        """Wait until something happens, and take it in."""
        sources = {child.tasks.fileno(): child for child in self._running}
        poll = select.poll()
        for source in (self._wake, *sources, *([] if self._stop else [STDIN])):
            poll.register(source, select.POLLIN)
        for source, _ in poll.poll():
            if source in sources:
                self._take_record(sources[source])
            elif source == self._wake:
                os.read(self._wake, READ_BYTES)
                self._reap_strangers()
            elif data := os.read(STDIN, READ_BYTES):
                self._unread += data
            else:
                self._stop = self._stop or signal.SIGTERM

    def _start(self, turn: SweepTurn) -> None:
        assert turn.index is not None  # noqa: S101 - for the type checker: one that names no run does not come here
        self._tell(SweepEvent(index=turn.index))
        child = self._idle.pop() if self._idle else self._fork()
        self._running[child] = turn.index
        spec = self._plan.specs[turn.index]
        task = Task(
            spec=spec,
            kernel=spec.kernel or self._plan.kernel,
            server=self._pool.server(),
            turn=turn if self._told else None,
        )
        with suppress(BrokenPipeError):  # it has ended, which the next look at it shows
            child.tasks.send(task)

    def _fork(self) -> Child:
        ours, its = Pipe()
        worker = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        pid = os.fork()
        if pid == 0:
            ours.close()
            serve(its, worker, self._let_go)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        its.close()
        return Child(pid, ours)

    def _let_go(self) -> None:
        """In a forked child: close what is the worker's alone."""
        self._pool.let_go()
        for descriptor in (self._wake, self._writer):
            os.close(descriptor)
        for child in (*self._running, *self._idle):
            child.tasks.close()

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._running:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _take_record(self, child: Child) -> None:
        """What a child says: the record of its run, or by its end that there is none."""
        index = self._running.pop(child)
        try:
            result = decode(child.tasks.recv_bytes(), RunResult)
        except (EOFError, OSError, BadInputError):
            self._tell(SweepEvent(index=index, result=self._lost(index, child.end())))
            return
        self._tell(SweepEvent(index=index, result=result))
        if result.state is RunState.SUCCEEDED:
            self._idle.append(child)
        else:
            child.end()

    def _reap_strangers(self) -> None:
        """Collect what has come to this process as the subreaper of its children."""
        own = [child.pid for child in (*self._running, *self._idle)]
        reap_zombies(exclude=[*own, *([self._pool.pid] if self._pool.pid else [])])

    def _lost(self, index: int, status: int) -> RunResult:
        """The record of a run whose process has ended without one."""
        how = os.waitstatus_to_exitcode(status)
        words = f"killed by {signal.Signals(-how).name}" if how < 0 else f"ended with exit code {how}"
        error = InternalError(
            f"the run's process was {words} and could give no verdict",
            hint="Look for an out-of-memory kill in the system's log; a second sweep does what is missing.",
        )
        return results.lost(results.blank(self._plan.specs[index]), error)

    def _tell(self, event: SweepEvent) -> None:
        data = encode(event) + b"\n"
        try:
            while data:
                data = data[os.write(STDOUT, data) :]
        except BrokenPipeError:
            self._stop = self._stop or signal.SIGTERM  # the launcher is gone
