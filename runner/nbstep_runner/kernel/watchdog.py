"""The process between the runner and its kernels: their parent, so that nothing of a run outlives the runner.

It is the subreaper of all that descends from a kernel: nothing leaves its tree, whatever its session, its parent or its
environment. Should the runner be killed, it ends all of that, removes the run's folders and settles its record. Should
it be killed itself, its children become the runner's, which goes on with them.

Both speak over a socket, in messages of :mod:`marshal`, which costs no import: the runner asks with a command, a folder
and an environment, and passes a descriptor for the kernel's stderr; the answer is a pid, and passes its pidfd, or what
an ``OSError`` says; later comes the pid with its exit status. What has no descriptor is for the end of a killed runner.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn

PATIENCE: Final = 10.0
"""Seconds for an answer; one that was stopped gives none."""
_HEADER: Final = 4


class Watchdog:
    """Forks at once, so it has to be made before the process has threads.

    Args:
        token: Marks, in ``NBSTEP_RUN_TOKEN``, the processes that belong to the run.
        beside: Descriptors that it must not hold open.
        settle: Called in its process once the runner was killed, with what that has last given to :meth:`entrust`.
    """

    def __init__(
        self, token: str, *, beside: Iterable[int] = (), settle: Callable[[bytes], None] | None = None
    ) -> None:
        self.token = token
        self._socket, its = socket.socketpair()
        self._sending = threading.Lock()
        self._ended: dict[int, int] = {}
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._socket.detach(), *beside):
                os.close(descriptor)
            _watch(its, token, settle)
        its.close()

    def launch(
        self, command: list[str], folder: str | None, environment: dict[str, str], stderr: int
    ) -> tuple[int, int]:
        """Launch a kernel in a session of its own; its pid and pidfd.

        Raises:
            ConnectionError, TimeoutError: The watchdog is gone, or was stopped.
            OSError: The command cannot be started.
        """
        self._socket.settimeout(PATIENCE)
        with self._sending:
            _send(self._socket, (command, folder, environment), [stderr])
        while True:
            message, descriptors = _receive(self._socket)
            if descriptors:
                return message, descriptors[0]
            if isinstance(message[1], str):
                raise OSError(*message)
            self._ended[message[0]] = message[1]

    def entrust(self, claimed: bytes) -> None:
        """What it needs to settle the run's record, should this process be killed; from any thread."""
        with self._sending, suppress(OSError):  # it is gone: then nobody settles it before the next attempt
            _send(self._socket, claimed)

    def status_of(self, pid: int) -> int:
        """The exit status of a kernel that has ended, or a signal's number below zero; killed where that is unknown."""
        self._socket.settimeout(PATIENCE)
        with suppress(OSError):
            while pid not in self._ended:
                ended, status = _receive(self._socket)[0]
                self._ended[ended] = status
        if pid not in self._ended:
            with suppress(ChildProcessError):  # the watchdog was killed: its children are this process's
                self._ended[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, os.WNOHANG)[1])
        return self._ended.get(pid, -signal.SIGKILL)

    def dismiss(self) -> None:
        """The run has cleaned up after itself: the watchdog goes without doing anything, even one that was stopped."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._socket.close()


def _send(connection: socket.socket, message: Any, descriptors: Collection[int] = ()) -> None:
    data = marshal.dumps(message)
    socket.send_fds(connection, [len(data).to_bytes(_HEADER, "big")], list(descriptors))
    connection.sendall(data)


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    header, descriptors, _, _ = socket.recv_fds(connection, _HEADER, 1)
    header += _exactly(connection, _HEADER - len(header))
    return marshal.loads(_exactly(connection, int.from_bytes(header, "big"))), descriptors  # noqa: S302 - our own process's


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError("the other side is gone")
        data += more
    return data


def _watch(runner: socket.socket, token: str, settle: Callable[[bytes], None] | None) -> NoReturn:
    """In the child: launch kernels and tell their ends, in a session of its own, until the runner is gone."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # kernels would inherit SIG_IGN
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        entrusted: list[bytes] = []
        with suppress(OSError):
            _serve(runner, entrusted)
        from nbstep_runner.folders import remove_folders
        from nbstep_runner.processes import kill_tree

        kill_tree(0, grace=0.0, token=token, own_all_children=True)
        remove_folders(token)
        if entrusted and settle is not None:
            settle(entrusted[-1])
    finally:
        os._exit(0)


def _serve(runner: socket.socket, entrusted: list[bytes]) -> NoReturn:
    """Raises ``ConnectionError`` when the runner is gone."""
    from nbstep_runner.processes import become_subreaper, wake_at_ended_children

    wake = wake_at_ended_children()
    kernels: set[int] = set()
    watched: list[Any] = [runner, wake]
    ready: list[Any] = [runner]
    while True:
        if runner in ready:
            message, descriptors = _receive(runner)
            if descriptors:
                kernels.add(_launch(runner, *message, *descriptors))
                become_subreaper()  # not before: it costs an import, and a kernel orphans nothing so soon
            else:
                entrusted.append(message)
        if wake in ready:
            os.read(wake, 4096)
            _tell_ended(runner, kernels)
        ready, _, _ = select.select(watched, [], [])


def _launch(
    runner: socket.socket, command: list[str], folder: str | None, environment: dict[str, str], stderr: int
) -> int:
    try:
        kernel = subprocess.Popen(  # noqa: S603 - the command of an installed kernelspec, no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        _send(runner, (error.errno, error.strerror, error.filename))
        return 0
    finally:
        os.close(stderr)
    kernel.returncode = 0  # it is waited for with all other children
    pidfd = os.pidfd_open(kernel.pid)
    _send(runner, kernel.pid, [pidfd])
    os.close(pidfd)
    return kernel.pid


def _tell_ended(runner: socket.socket, kernels: set[int]) -> None:
    """Collect the children that have ended, kernels and orphans, and tell of the kernels."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] in kernels:
                _send(runner, (ended[0], os.waitstatus_to_exitcode(ended[1])))
