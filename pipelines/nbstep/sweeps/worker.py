"""The worker process that makes the runs: started before anything is read, told what to do, listened to, ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from nbstep.backends.local.process import signals_to
from nbstep_runner.contract import SweepEvent, SweepSpec
from nbstep_runner.errors import InternalError

PROGRAM: Final = (sys.executable, "-P", "-m", "nbstep_runner.sweep")


class SweepWorker:
    """The worker, as a context in which this process's signals are the worker's.

    It has a process group of its own: the terminal sends Ctrl-C to this process alone, which passes it on. Its end of
    standard input is held open: should this process be killed, the worker saves and ends its runs.

    Args:
        kernel: The kernel's name, if it is known before the notebook is read.
        folder: The kernels' working directory.
        cold: Kernels are launched, not forked.
    """

    def __init__(self, *, kernel: str | None, folder: str | None, cold: bool) -> None:
        options = [*(("--kernel", kernel) if kernel else ()), *(("--cwd", folder) if folder else ())]
        self._command = [*PROGRAM, *options, *(["--cold"] if cold else [])]
        self._signals = ExitStack()
        self.stopped_by: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own worker; no shell
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        self._signals.enter_context(signals_to(self._forward))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()  # without a plan it ends, with one it saves and ends its runs
        self._process.wait()
        self._signals.close()

    def _forward(self, number: int) -> None:
        self.stopped_by = self.stopped_by or signal.Signals(number)
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def carry_out(self, plan: SweepSpec) -> Iterator[SweepEvent]:
        """Say what to do, and hear what comes of it, until every run has ended or the worker was stopped.

        Raises:
            InternalError: The worker was killed.
        """
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        with suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(plan) + b"\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            yield msgspec.json.decode(line, type=SweepEvent)
        code = self._process.wait()
        if code != 0 and self.stopped_by is None:
            raise InternalError(
                f"the sweep's worker ended with exit code {code}",
                hint="Run the sweep again: it does what is missing, and no output is damaged.",
            )
