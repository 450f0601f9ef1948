"""The kernel's process: launched in a session of its own, watched by its pidfd, signalled as a group."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nbstep_runner.errors import KernelUnavailableError, no_temporary_folder
from nbstep_runner.folders import make_folder
from nbstep_runner.kernel.connection import Connection, prepare
from nbstep_runner.kernel.launched import ForkServer, GuardedProcess, LaunchedProcess, StartedProcess
from nbstep_runner.kernel.open_files import ensure_enough
from nbstep_runner.kernel.specs import KernelSpec
from nbstep_runner.kernel.tail import Tail
from nbstep_runner.kernel.usage import ProcessUsage
from nbstep_runner.kernel.watchdog import Watchdog
from nbstep_runner.processes import TOKEN_VARIABLE

if TYPE_CHECKING:
    from nbstep_runner.kernel.forked import ForkedProcess

SLIM_LAUNCHER: Final = Path(__file__).with_name("slim_ipykernel.py")
PARENT_VARIABLE: Final = "JPY_PARENT_PID"
"""Who launched the kernel, as ``jupyter_client`` tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What decides how a kernel process is made, besides its kernelspec.

    Attributes:
        stock: Launch exactly what the kernelspec says.
        token: Marks the process and all that it starts, so that they can be found and ended.
        server: Forks kernels that it is able to make; others are launched.
        watchdog: Launches them; this process does so itself where there is none, or it is gone.
        variables: Added to the environment.
    """

    working_directory: str | None = None
    stock: bool = False
    token: str = ""
    server: ForkServer | None = None
    watchdog: Watchdog | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


class KernelProcess:
    """One kernel process, launched at once, or asked for where a fork server makes such kernels."""

    def __init__(self, spec: KernelSpec, options: LaunchOptions) -> None:
        self.spec = spec
        self.options = options
        ensure_enough()
        self.folder = _folder(options.token)
        try:
            self.connection: Connection = prepare(self.folder, ipc=spec.runs_python)
            self._asked = self._ask()
            self._started: StartedProcess | None = None if self._asked else self._launch()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._tail = Tail()
        self._usage: ProcessUsage | None = None

    def _ask(self) -> ForkedProcess | None:
        server, folder = self.options.server, self.options.working_directory
        if server is None or self.options.stock or not server.makes(self.spec, folder):
            return None
        from nbstep_runner.kernel.forked import ForkedProcess, NoServerError

        with suppress(NoServerError):
            return ForkedProcess(server, self.connection.file, self._mark)
        return None

    def _launch(self) -> StartedProcess:
        try:
            environment = self.spec.environment(os.environ) | self._mark
            command, folder = self._command(), self.options.working_directory
            if self.options.watchdog is not None:
                with suppress(ConnectionError, TimeoutError):
                    return GuardedProcess(self.options.watchdog, command, folder, environment)
            return LaunchedProcess(command, folder, environment)
        except OSError as error:
            raise KernelUnavailableError(f"the kernel {self.spec.name!r} cannot be started: {error}") from error

    def _arrived(self, asked: ForkedProcess) -> StartedProcess:
        """The process that was asked for; a launched one where the server has failed."""
        from nbstep_runner.kernel.forked import NoServerError

        self._asked = None
        try:
            asked.arrive()
        except NoServerError:
            return self._launch()
        return asked

    @property
    def _process(self) -> StartedProcess:
        if self._started is None:
            assert self._asked is not None  # noqa: S101 - it was asked for, or it has been started
            self._started = self._arrived(self._asked)
        return self._started

    @property
    def _mark(self) -> dict[str, str]:
        return {**self.options.variables, TOKEN_VARIABLE: self.options.token, PARENT_VARIABLE: str(os.getpid())}

    @property
    def child(self) -> int | None:
        """Its pid where it is a child of this process, or becomes one without its watchdog; its end is waited for."""
        mine = isinstance(self._started, LaunchedProcess | GuardedProcess)
        return self._started.pid if mine and self._started else None

    @property
    def pid(self) -> int:
        """It leads a session and a group of its own. Waits for one that was asked for, as all that follow do."""
        return self._process.pid

    @property
    def pidfd(self) -> int:
        """Becomes readable when it ends."""
        return self._process.pidfd

    @property
    def stderr(self) -> int:
        """Becomes readable when it wrote there; does not block."""
        return self._process.stderr

    @property
    def usage(self) -> ProcessUsage:
        """Its processor time and memory."""
        if self._usage is None:
            self._usage = ProcessUsage(self.pid)
        return self._usage

    def _command(self) -> list[str]:
        argv = argv_here(self.spec)
        if self.spec.is_ipykernel and not self.options.stock:
            argv[-4:-2] = [str(SLIM_LAUNCHER)]
        places = {
            "{connection_file}": str(self.connection.file),
            "{resource_dir}": self.spec.resource_dir,
            "{prefix}": sys.prefix,
        }
        return [_fill(part, places) for part in argv]

    def drain_stderr(self) -> bool:
        """Take what the process wrote to its own stderr, keeping the end of it; false once it is closed."""
        while True:
            try:
                data = os.read(self.stderr, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._tail.add(data)

    @property
    def stderr_tail(self) -> str:
        """The last 64 KiB or so of what the process wrote to its own stderr, from the start of a line."""
        return self._tail.text

    @property
    def exit_status(self) -> int | None:
        """``None`` while it runs, else its exit code, or a signal's number below zero."""
        return self._process.exit_status()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the kernel's process group; nothing happens when it is gone."""
        if self.exit_status is not None:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def dispose(self, spared: Collection[int] | None = None) -> None:
        """Kill it and all that it started, and remove its folder; ``spared`` as :meth:`StartedProcess.end` has it."""
        process = self._started or self._asked
        if process is not None:
            process.end(self.options.token, spared)
        if self._usage is not None:
            self._usage.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def argv_here(spec: KernelSpec) -> list[str]:
    """A kernelspec's command; a bare ``python`` means the environment that the runner lives in, as in Jupyter."""
    own = {"python", "python3", f"python3.{sys.version_info.minor}"}
    return [sys.executable if spec.argv[0] in own else spec.argv[0], *spec.argv[1:]]


def _folder(token: str) -> Path:
    try:
        return make_folder(token, "kernel", for_sockets=True)
    except OSError as error:
        raise no_temporary_folder(error) from error


def _fill(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text
