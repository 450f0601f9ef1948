"""``nbstep-runner --sweep``: one of the processes that make the runs of a sweep together, such as a pod of a Job.

The worker that makes the runs is a process below this one, which alone speaks to storage about the other processes'
runs: so what is forked for a run has no connection open.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from types import FrameType
from typing import Final

from nbstep_runner.contract import (
    Notice,
    RunResult,
    RunState,
    Severity,
    StorageOptions,
    SweepEvent,
    SweepSpec,
    SweepTurn,
    decode,
    encode,
)
from nbstep_runner.errors import ExitCode, InternalError, OutputConflictError
from nbstep_runner.processes import become_subreaper, reap_zombies
from nbstep_runner.sinks.json_lines import JsonLines
from nbstep_runner.sinks.records import describe
from nbstep_runner.stores import open_store
from nbstep_runner.supervisor import stopping
from nbstep_runner.sweep.share import LOOK_SECONDS, Portion, Share

PROGRAM: Final = (sys.executable, "-P", "-m", "nbstep_runner.sweep", "--told")
READ_BYTES: Final = 1 << 16
LEAVE_SECONDS: Final = 1.0
"""After the worker's end, until this process ends too, whatever it waits for."""


class Worker:
    """The worker below this process: it is told what to begin, and tells what came of it."""

    def __init__(self, options: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own worker; no shell
            [*PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        self._tell, self._hear = self._process.stdin, self._process.stdout
        self._unread = b""
        self.ended = False

    @property
    def pid(self) -> int:
        """Its process, a child of this one."""
        return self._process.pid

    def tell(self, what: SweepSpec | SweepTurn) -> None:
        """Say what the sweep is, or what is to begin; a worker that has ended is found out by :meth:`events`."""
        with suppress(BrokenPipeError):
            self._tell.write(encode(what) + b"\n")
            self._tell.flush()

    def events(self, seconds: float | None) -> Iterator[SweepEvent]:
        """What it has told, after waiting for at most so long; :attr:`ended` once it will tell nothing more."""
        if not select.select([self._hear], [], [], seconds)[0]:
            return
        data = os.read(self._hear.fileno(), READ_BYTES)
        self.ended = not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        yield from (decode(line, SweepEvent) for line in lines)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()

    def close(self) -> None:
        """Let it end, as at SIGTERM where it has not been told that nothing more comes."""
        with suppress(BrokenPipeError):
            self._tell.close()
        self._hear.close()
        self.wait()


class Part:
    """What one process does for a sweep.

    Args:
        worker: Makes the runs.
        say: Takes each line of the log.
    """

    def __init__(self, worker: Worker, say: Callable[[str, Severity], None]) -> None:
        self._worker = worker
        self._say = say
        self._stop: signal.Signals | None = None
        for number in stopping():
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        """The worker saves and ends its runs, and then itself; a storage that does not answer holds up nothing."""
        if self._stop is None:
            self._stop = signal.Signals(number)
            threading.Thread(target=self._leave, name="nbstep-leave", daemon=True).start()
        self._worker.signal(number)

    def _leave(self) -> None:
        self._worker.wait()
        time.sleep(LEAVE_SECONDS)
        os._exit(self._stopped)

    @property
    def _stopped(self) -> ExitCode:
        return ExitCode.INTERRUPTED if self._stop is signal.SIGINT else ExitCode.TERMINATED

    def carry_out(self, plan: SweepSpec, share: Share) -> ExitCode:
        """Begin what can be begun, until every run has its verdict or another process that makes it.

        Raises:
            InternalError: The worker was killed.
            NbstepError: Storage does not tell how far the others are.
        """
        self._worker.tell(plan)
        running = 0
        while self._stop is None:
            while running < plan.jobs and (turn := share.next()):
                self._worker.tell(turn)
                running += 1
            if not running and share.over:
                self._worker.tell(SweepTurn())
                self._drain()
                return ExitCode.SUCCEEDED
            for event in self._worker.events(None if running == plan.jobs else LOOK_SECONDS):
                if event.result is not None:
                    running -= 1
                    share.ended(event.index, event.result)
                    self._report(plan, event.index, event.result)
            if self._worker.ended:
                break
            reap_zombies(exclude=[self._worker.pid])
        if self._stop is None:
            raise InternalError("the sweep's worker was killed", hint="Look for an out-of-memory kill.")
        self._drain()
        return self._stopped

    def _drain(self) -> None:
        while not self._worker.ended:
            for _ in self._worker.events(None):
                pass

    def _report(self, plan: SweepSpec, index: int, result: RunResult) -> None:
        name = plan.specs[index].output_uri.split("/")[-2]
        if result.error is not None and result.error.reference == OutputConflictError.reference:
            return
        error = f": {result.error.message}" if result.error else ""
        took = "" if result.seconds is None else f" in {result.seconds:.2f} s"
        severity = Severity.INFO if result.state is RunState.SUCCEEDED else Severity.WARNING
        self._say(f"{name}: {result.state}{took}{error}", severity)


def take_part(plan_uri: str, portion: Portion, storage: StorageOptions, options: list[str]) -> ExitCode:
    """Make the runs of a sweep that are this process's, and those that the other processes have not begun.

    Args:
        plan_uri: Where the sweep's ``SweepSpec`` lies.
        portion: This process's share.
        storage: How the plan is reached.
        options: Of the worker: what it has to know before the plan is read.

    Returns:
        ``SUCCEEDED`` once each run has its verdict, however it reads, or another process that makes it; the code of
        the signal that ended it before.

    Raises:
        BadInputError: There is no plan in that file.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read, or the sweep's folder.
        InternalError: The worker was killed.
    """
    become_subreaper()
    worker = Worker(options)
    say = _log_of(plan_uri)
    with closing(worker):
        part = Part(worker, say)
        store = open_store(plan_uri, storage)
        plan = decode(store.read(plan_uri).data, SweepSpec)
        share = Share(plan, plan_uri, store, portion)
        whose = "and what the others have not begun" if share.takes_others else "and no other: the store has no claims"
        say(f"share {portion.index} of {portion.of} of {len(plan.specs)} runs, {whose}", Severity.INFO)
        return part.carry_out(plan, share)


def _log_of(plan_uri: str) -> Callable[[str, Severity], None]:
    """What writes the lines of this process's log."""
    lines, count = JsonLines(plan_uri.split("/")[-2], 1), 0

    def say(message: str, severity: Severity) -> None:
        nonlocal count
        count += 1
        line = lines.record(describe(Notice(message=message, severity=severity)), count, time.time(), whole=True)
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    return say
