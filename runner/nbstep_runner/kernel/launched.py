"""What a kernel's process can do, however it was started; and the usual start, by a command."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbstep_runner.kernel.specs import KernelSpec
from nbstep_runner.kernel.watchdog import Watchdog
from nbstep_runner.processes import kill_tree


class StartedProcess(Protocol):
    """A kernel's process that was started, by whatever way.

    Attributes:
        pid: It leads a session and a process group of its own.
        pidfd: Readable once it has ended.
        stderr: The reading end of the pipe that its stderr goes to; does not block.
    """

    pid: int
    pidfd: int
    stderr: int

    def exit_status(self) -> int | None:
        """``None`` while it runs, else its exit code, or a signal's number below zero."""

    def end(self, token: str, spared: Collection[int] | None) -> None:
        """Kill it and all that it started, wait until they are gone, and let go of its descriptors.

        Args:
            token: Marks what belongs to it.
            spared: Children of this process that do not, where all others do; ``None`` where others do neither.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkServer:
    """Where kernels can be asked for.

    Attributes:
        address: The path of its socket.
        spec: The kernelspec that its kernels are of.
        folder: Their working directory.
    """

    address: Path
    spec: KernelSpec
    folder: Path

    def makes(self, spec: KernelSpec, folder: str | None) -> bool:
        """Whether a kernel of that kernelspec, in that folder, can come from here."""
        same = (spec.argv, spec.env) == (self.spec.argv, self.spec.env)
        return same and Path(folder or ".").absolute() == self.folder


class GuardedProcess:
    """A child of the run's watchdog.

    Raises:
        ConnectionError, TimeoutError: The watchdog is gone, or was stopped.
        OSError: The command cannot be started.
    """

    def __init__(self, watchdog: Watchdog, command: list[str], folder: str | None, environment: dict[str, str]) -> None:
        self._watchdog = watchdog
        self._status: int | None = None
        self.stderr, writer = os.pipe()
        os.set_blocking(self.stderr, False)
        try:
            self.pid, self.pidfd = watchdog.launch(command, folder, environment, writer)
        except OSError:
            os.close(self.stderr)
            raise
        finally:
            os.close(writer)
        self._poll = select.poll()
        self._poll.register(self.pidfd, select.POLLIN)

    def exit_status(self) -> int | None:
        """See :class:`StartedProcess`."""
        if self._status is None and self._poll.poll(0):
            self._status = self._watchdog.status_of(self.pid)
        return self._status

    def end(self, token: str, spared: Collection[int] | None) -> None:
        """See :class:`StartedProcess`."""
        kill_tree(
            self.pid,
            grace=0.0,
            token=token,
            own_all_children=spared is not None,
            exclude=spared or (),
            guardian=self._watchdog.pid,
        )
        os.close(self.pidfd)
        os.close(self.stderr)


class LaunchedProcess:
    """A child of this process, where there is no watchdog."""

    def __init__(self, command: list[str], folder: str | None, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the command of an installed kernelspec, no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        assert self._process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        self.stderr = self._process.stderr.fileno()
        os.set_blocking(self.stderr, False)

    def exit_status(self) -> int | None:
        """See :class:`StartedProcess`."""
        return self._process.poll()

    def end(self, token: str, spared: Collection[int] | None) -> None:
        """See :class:`StartedProcess`."""
        kill_tree(self.pid, grace=0.0, token=token, own_all_children=spared is not None, exclude=spared or ())
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self.pidfd)
        if self._process.stderr is not None:
            self._process.stderr.close()
