"""The runner as a child process; and how this process hands the signals that it gets on to the run that it watches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from nbstep_runner.cli import TYPED_COMMAND

RUNNER: Final = (sys.executable, "-P", "-m", "nbstep_runner.cli")
"""``-P`` keeps the working directory off Python's path: a ``random.py`` beside a notebook is the notebook's alone."""
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """``nbstep-runner`` with these arguments, as a context in which this process's signals are the child's.

    The child has a process group of its own: the terminal sends Ctrl-C to this process alone, which passes it on, so
    that one keystroke is one signal.

    Args:
        arguments: The runner's command line.
        program: The command that a person typed, which the runner's own messages name.
        stdout: A file descriptor for its standard output; without one its lines are read by :meth:`lines`.
        descriptors: Others that it inherits.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        program: str = "nbstep-runner",
        stdout: int = subprocess.PIPE,
        descriptors: tuple[int, ...] = (),
    ) -> None:
        self._command = [*RUNNER, *arguments]
        self._environment = os.environ | {TYPED_COMMAND: program}
        self._stdout = stdout
        self._descriptors = descriptors
        self._signals = ExitStack()

    def __enter__(self) -> Self:
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._signals.enter_context(signals_to(self._forward, signal.SIGQUIT))
        self._process = subprocess.Popen(  # noqa: S603 - our own runner; no shell
            self._command, env=self._environment, stdout=self._stdout, process_group=0, pass_fds=self._descriptors
        )
        for early in self._early:
            self._process.send_signal(early)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._signals.close()

    def _forward(self, number: int) -> None:
        if self._process is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def lines(self) -> Iterator[bytes]:
        """Each line that the child writes to its standard output, until it closes it."""
        assert self._process is not None  # noqa: S101 - for the type checker: inside the context
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        yield from self._process.stdout

    def wait(self) -> int:
        """Wait for the end and return the exit code.

        Raises:
            LostRunError: A signal killed the runner, so it could give no verdict.
        """
        assert self._process is not None  # noqa: S101 - for the type checker: inside the context
        code = self._process.wait()
        if code < 0:
            from nbstep.errors import LostRunError  # not imported before the child is started

            raise LostRunError(
                f"the runner was killed by {signal.Signals(-code).name} and could give no verdict",
                hint="Look at the system's log for an out-of-memory kill; run again, the output is not damaged.",
            )
        return code


def default_output(notebook: str) -> str:
    """``x.out.ipynb`` in the current folder for a notebook ``x.ipynb``, wherever it lies."""
    from nbstep_runner.stores import name_of, sibling  # not imported before a child is started that needs neither

    return sibling(name_of(notebook), ".out.ipynb")


@contextmanager
def signals_to(receiver: Callable[[int], None], *further: int) -> Iterator[None]:
    """Inside the context, signals that ask this process to end go to the receiver instead, each once.

    A hangup that is ignored, as below ``nohup``, stays so. Off the main thread, which alone can take Python's signals,
    they stay with whoever handles them there.

    Args:
        receiver: Gets each signal's number.
        further: Signals to hand on besides, such as SIGQUIT.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [*STOPPING, *further]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    previous = {number: signal.signal(number, lambda number, _: receiver(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
