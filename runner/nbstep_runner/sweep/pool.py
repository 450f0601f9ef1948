"""The fork server of a worker: started early, replaced where it makes other kernels than are wanted, or has died."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from nbstep_runner.errors import NbstepError
from nbstep_runner.folders import make_folder
from nbstep_runner.kernel import specs
from nbstep_runner.kernel.launched import ForkServer
from nbstep_runner.kernel.process import argv_here
from nbstep_runner.kernel.specs import KernelSpec
from nbstep_runner.processes import TOKEN_VARIABLE

PROGRAM: Final = Path(specs.__file__).with_name("fork_server.py")
QUEUE: Final = 128
MOST_STARTS: Final = 3
"""A server that dies again and again costs more than it saves: kernels are launched from then on."""
END_SECONDS: Final = 5.0


class ServerProcess:
    """A fork server that this process owns: it ends with it.

    Args:
        spec: The kernelspec of its kernels; they are ipykernel's.
        folder: Their working directory.
        token: Marks the server, and names its folder.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, spec: KernelSpec, folder: Path, token: str) -> None:
        self._home = make_folder(token, "server", for_sockets=True)
        self.kernels = ForkServer(address=self._home / "socket", spec=spec, folder=folder)
        reader, self._owner = os.pipe()
        try:
            self._process = self._start(reader, token)
        except OSError:
            shutil.rmtree(self._home, ignore_errors=True)
            os.close(self._owner)
            raise
        finally:
            os.close(reader)

    def _start(self, reader: int, token: str) -> subprocess.Popen[bytes]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, self.said.open("wb") as stderr:
            listener.bind(str(self.kernels.address))
            listener.listen(QUEUE)  # whoever asks before the server is ready waits, and sees its end
            descriptors = (listener.fileno(), reader)
            interpreter = argv_here(self.kernels.spec)[:-4]  # without -m ipykernel_launcher -f {connection_file}
            return subprocess.Popen(  # noqa: S603 - the interpreter of an installed kernelspec, no shell
                [*interpreter, str(PROGRAM), *map(str, descriptors)],
                cwd=self.kernels.folder,
                env=self.kernels.spec.environment(os.environ) | {TOKEN_VARIABLE: token},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=descriptors,
                start_new_session=True,
            )

    @property
    def said(self) -> Path:
        """The file of what it wrote to its stderr."""
        return self._home / "stderr"

    @property
    def pid(self) -> int:
        """Its process, a child of this one."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def preload(self, modules: Sequence[str]) -> None:
        """Say what to import; it forks nothing before."""
        with suppress(BrokenPipeError):
            os.write(self._owner, msgspec.json.encode(modules) + b"\n")

    def let_go(self) -> None:
        """In a forked child: be no owner of it."""
        os.close(self._owner)

    def close(self) -> None:
        """End it; the kernels that it forked end with their own clients."""
        os.close(self._owner)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)


class WarmPool:
    """At most one fork server, of the kernels that are wanted.

    Args:
        kernel: The kernel's name as far as it is known; the server of the probable one starts at once.
        folder: The kernels' working directory; this process's own where ``None``.
        wanted: Not where every kernel is to be launched.
    """

    def __init__(self, kernel: str | None, folder: str | None, *, wanted: bool) -> None:
        self._folder = Path(folder or ".").absolute()
        self._wanted = wanted
        self._modules: tuple[str, ...] = ()
        self._starts = 0
        self._server: ServerProcess | None = None
        self._start(specs.guess(kernel))

    def prepare(self, kernel: str | None, language: str | None, modules: tuple[str, ...]) -> None:
        """Say which kernels are wanted, and what they import."""
        self._modules = modules
        spec = self._chosen(kernel, language)
        if not (self._server and spec and self._server.kernels.makes(spec, str(self._folder))):
            self.close()
            self._start(spec)
        if self._server:
            self._server.preload(modules)

    def _chosen(self, kernel: str | None, language: str | None) -> KernelSpec | None:
        try:
            return specs.choose(kernel, language) if self._wanted else None
        except NbstepError:
            return None  # each run says so itself

    def _start(self, spec: KernelSpec | None) -> None:
        if not self._wanted or spec is None or not spec.is_ipykernel or self._starts >= MOST_STARTS:
            return
        self._starts += 1
        with suppress(OSError):
            self._server = ServerProcess(spec, self._folder, secrets.token_hex(16))

    @property
    def pid(self) -> int | None:
        """The server's process."""
        return self._server.pid if self._server else None

    def server(self) -> ForkServer | None:
        """Where the next kernel can be asked for; a server that has died is replaced."""
        if self._server and not self._server.alive:
            spec = self._server.kernels.spec
            self.close()
            self._start(spec)
            if self._server:
                self._server.preload(self._modules)
        return self._server.kernels if self._server else None

    def let_go(self) -> None:
        """In a forked child: be no owner of the server."""
        if self._server:
            self._server.let_go()

    def close(self) -> None:
        """End the server."""
        if self._server:
            self._server.close()
            self._server = None
