"""The worker's loop: as many runs at once as the plan says, each in a forked process."""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Final

from nbstep_runner.contract import RunResult, RunSpec, RunState, SweepEvent, SweepPlan, decode, encode
from nbstep_runner.errors import BadInputError, ExitCode, InternalError
from nbstep_runner.kernel.processes import become_subreaper, kill_tree, reap_zombies
from nbstep_runner.session import results
from nbstep_runner.supervisor import STOPPING
from nbstep_runner.sweep.child import Task, be_run
from nbstep_runner.sweep.pool import WarmPool
from nbstep_runner.sweep.warm import warm_up

STDIN: Final = 0
STDOUT: Final = 1
READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class RunningChild:
    """A run under way: which, and the memory file that its record comes in."""

    index: int
    record: int


class Worker:
    """One plan, carried out. The process has one thread, so that it can be forked.

    Args:
        pool: Where kernels can be had.
    """

    def __init__(self, pool: WarmPool) -> None:
        self._pool = pool
        self._running: dict[int, RunningChild] = {}
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
        self._waiting = deque(enumerate(plan.specs))
        self._pool.prepare(plan.kernel, plan.language, plan.modules)
        warm_up()
        try:
            self._carry_out()
        finally:
            self._pool.close()
            kill_tree(0, grace=0.0, own_all_children=True)
        return int(ExitCode.SUCCEEDED)

    def _take_signals(self) -> None:
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in STOPPING:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._stop = self._stop or signal.Signals(number)

    def _read_plan(self) -> SweepPlan | None:
        """The plan; ``None`` where the launcher thought better of it."""
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(STDIN, READ_BYTES)
            if not data:
                return None
            line += data
        try:
            return decode(line, SweepPlan)
        except BadInputError as error:
            sys.stderr.write(f"{error.message}\n")
            return None

    def _carry_out(self) -> None:
        poll = select.poll()
        for source in (STDIN, self._wake):
            poll.register(source, select.POLLIN)
        forwarded = False
        while True:
            while self._waiting and len(self._running) < self._plan.jobs and self._stop is None:
                self._start(*self._waiting.popleft())
            if not self._running and (self._stop or not self._waiting):
                return
            if self._stop and not forwarded:
                forwarded = True
                self._signal_all(self._stop)
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake in ready:
                os.read(self._wake, READ_BYTES)
                self._reap()
            if STDIN in ready and not os.read(STDIN, READ_BYTES):
                poll.unregister(STDIN)
                self._stop = self._stop or signal.SIGTERM

    def _start(self, index: int, spec: RunSpec) -> None:
        record = os.memfd_create("record")
        self._tell(SweepEvent(index=index))
        task = Task(
            spec=spec,
            token=secrets.token_hex(16),
            kernel=spec.kernel or self._plan.kernel,
            server=self._pool.server(),
            parent=os.getpid(),
            record=record,
            let_go=self._let_go,
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        pid = os.fork()
        if pid == 0:
            be_run(task)
        self._running[pid] = RunningChild(index, record)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _let_go(self) -> None:
        """In a forked child: close what is the worker's alone."""
        self._pool.let_go()
        for descriptor in (self._wake, self._writer, *(each.record for each in self._running.values())):
            os.close(descriptor)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> None:
        for pid, child in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[pid]
                self._tell(SweepEvent(index=child.index, result=self._result(child, status)))
        reap_zombies(exclude=[*self._running, *([self._pool.pid] if self._pool.pid else [])])

    def _result(self, child: RunningChild, status: int) -> RunResult:
        """The record that the child has left; where it was killed, one that says so."""
        with os.fdopen(child.record, "rb") as file:
            file.seek(0)
            data = file.read()
        with suppress(BadInputError):
            return decode(data, RunResult)
        how = os.waitstatus_to_exitcode(status)
        words = f"killed by {signal.Signals(-how).name}" if how < 0 else f"ended with exit code {how}"
        error = InternalError(
            f"the run's process was {words} and could give no verdict",
            hint="Look for an out-of-memory kill in the system's log; a second sweep does what is missing.",
        )
        return replace(results.failed(results.blank(self._plan.specs[child.index]), error), state=RunState.LOST)

    def _tell(self, event: SweepEvent) -> None:
        data = encode(event) + b"\n"
        try:
            while data:
                data = data[os.write(STDOUT, data) :]
        except BrokenPipeError:
            self._stop = self._stop or signal.SIGTERM  # the launcher is gone
