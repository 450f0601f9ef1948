"""A kernel's process that a fork server makes: the client's side of what ``forked_kernel`` describes."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep_runner.kernel.launched import ForkServer
from nbstep_runner.processes import KILL_SECONDS

ANSWER_SECONDS: Final = 30.0
"""For the server to have imported what it preloads; whoever waits longer launches a kernel instead."""
LONGEST_MESSAGE: Final = 1 << 16


class NoServerError(Exception):
    """There is no fork server that answers."""


class ForkedProcess:
    """A kernel whose parent is a guardian, which ends it when this process lets go of it or dies.

    It is only asked for at first: there is time for other things before :meth:`arrive`.

    Args:
        server: Who forks it.
        connection_file: The kernel's.
        environment: Variables that differ from the server's.

    Raises:
        NoServerError: The server is gone.
    """

    pid: int
    pidfd: int

    def __init__(self, server: ForkServer, connection_file: Path, environment: dict[str, str]) -> None:
        self._arrived = False
        self._status: int | None = None
        self._client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._client.settimeout(ANSWER_SECONDS)
        self.stderr, writer = os.pipe()
        os.set_blocking(self.stderr, False)
        request = {"connection_file": str(connection_file), "folder": str(server.folder), "environment": environment}
        try:
            self._client.connect(str(server.address))
            socket.send_fds(self._client, [msgspec.json.encode(request)], [writer])
        except OSError as error:
            self._let_go()
            raise NoServerError(str(error)) from error
        finally:
            os.close(writer)

    def arrive(self) -> None:
        """Wait until it is there.

        Raises:
            NoServerError: The server is gone, or does not answer in time.
        """
        try:
            self.pid, self.pidfd = self._answer()
        except (OSError, NoServerError) as error:
            self._let_go()
            raise NoServerError(str(error)) from error
        self._arrived = True

    def _answer(self) -> tuple[int, int]:
        data, descriptors, _, _ = socket.recv_fds(self._client, LONGEST_MESSAGE, 1)
        if not descriptors:
            raise NoServerError("the fork server has ended")
        answer: dict[str, Any] = msgspec.json.decode(data)
        return answer["pid"], descriptors[0]

    def _let_go(self) -> None:
        self._client.close()
        os.close(self.stderr)

    def exit_status(self) -> int | None:
        """See :class:`~nbstep_runner.kernel.launched.StartedProcess`.

        Of a kernel whose guardian was killed only its end is known; it counts as killed too.
        """
        if self._status is None and select.select([self.pidfd], [], [], 0)[0]:
            self._status = self._told_status()
        return self._status

    def _told_status(self) -> int:
        self._client.settimeout(KILL_SECONDS)
        with suppress(OSError, msgspec.DecodeError):
            while data := self._client.recv(LONGEST_MESSAGE):
                told: dict[str, Any] = msgspec.json.decode(data)
                if "status" in told:
                    return int(told["status"])
        return -signal.SIGKILL

    def end(self, token: str, spared: Collection[int] | None) -> None:  # noqa: ARG002 - the guardian knows what is its own
        """See :class:`~nbstep_runner.kernel.launched.StartedProcess`."""
        self._client.settimeout(2 * KILL_SECONDS)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)
            while self._client.recv(LONGEST_MESSAGE):
                pass
        if self._arrived:
            self._make_sure()
        self._let_go()

    def _make_sure(self) -> None:
        if not select.select([self.pidfd], [], [], 0)[0]:  # its guardian was killed, and could not do it
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        os.close(self.pidfd)
