"""The fork server's children: for each kernel a guardian, and the kernel as the guardian's child.

Loaded by path by the fork server: it imports nothing of ours. The guardian is the kernel's parent and the subreaper of
all that descends from it, so nothing can leave its tree, whatever its session, its parent or its environment. It has
one kernel at a time, and another one only after nothing of the first is left. Its client speaks with it over one
connection a kernel (``SOCK_SEQPACKET``), in messages of JSON:

1. the client asks: ``connection_file``, ``folder`` (the working directory), ``environment`` (variables to set), and
   passes a descriptor for the kernel's stderr;
2. the kernel answers once it has a session of its own: ``pid``, and passes its pidfd;
3. the guardian tells the end: ``status``, an exit code or a signal's number below zero;
4. the guardian closes the connection when nothing of the kernel is left.

Whatever the client sends after the first message, or its own end, ends the kernel at once. Between two kernels the
guardian tells the server that it is free, which passes it the next connection; the server's end is then its own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

LONGEST_MESSAGE = 1 << 16
FREE = b"."
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def guard(client: socket.socket, server: socket.socket, parts: Any) -> NoReturn:
    """Be the guardian: start the kernel that the client asks for, and end all of it; then for the next client.

    Args:
        client: The first connection.
        server: Where the fork server hears that this process is free, and passes the next.
        parts: What else the fork server has loaded, by the names of its ``PARTS``.
    """
    try:
        guardian = Guardian(parts)
        while guardian.serve(client):
            server.send(FREE)
            client.close()
            client = _next_client(server)
    except BaseException:  # noqa: BLE001 - a fork must not go on as the server that it is a copy of
        traceback.print_exc()
    finally:
        os._exit(1)


def _next_client(server: socket.socket) -> socket.socket:
    data, descriptors, _, _ = socket.recv_fds(server, 1, 1)
    if not data:
        os._exit(0)
    return socket.socket(fileno=descriptors[0])


class Guardian:
    """The parent of kernels, one after another, each of which ends before the next begins."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts
        os.setsid()
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        parts.processes.become_subreaper()
        self._wake = parts.processes.wake_at_ended_children()

    def serve(self, client: socket.socket) -> bool:
        """Start the kernel and wait for its end or the client's; whether nothing is left behind."""
        data, descriptors, _, _ = socket.recv_fds(client, LONGEST_MESSAGE, 1)
        if not data:
            return True
        self._client = client
        self._status: int | None = None
        self._kernel = os.fork()
        if self._kernel == 0:
            be_kernel(client, json.loads(data), descriptors[0], self._parts)
        os.close(descriptors[0])
        self._wait()
        return self._end()

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while self._status is None:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._client.fileno() in ready:
                return

    def _reap(self) -> bool:
        """Collect the children that have ended; whether there are others."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._kernel:
                self._tell(os.waitstatus_to_exitcode(status))

    def _end(self) -> bool:
        """Kill whatever lives below this process; whether nothing does any more."""
        if self._reap():
            self._parts.processes.kill_tree(self._kernel, grace=0.0, own_all_children=True)
        return not self._reap()

    def _tell(self, status: int) -> None:
        self._status = status
        with suppress(OSError):  # the client may be gone
            self._client.send(json.dumps({"status": status}).encode())


def be_kernel(client: socket.socket, request: dict[str, Any], stderr: int, parts: Any) -> NoReturn:
    """Be the kernel, in the state in which a launched one begins."""
    try:
        os.setsid()
        os.dup2(stderr, 2)
        _forget_signals()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        parts.preload.reseed()
        socket.send_fds(client, [json.dumps({"pid": os.getpid()}).encode()], [os.pidfd_open(os.getpid())])
        client.close()
        _close_all_but_streams()
        sys.argv = [parts.slim.__file__, "-f", request["connection_file"]]
        parts.slim.be_kernel(parts)
    except SystemExit as leave:
        os._exit(leave.code if isinstance(leave.code, int) else 1)
    except BaseException:  # noqa: BLE001 - as an interpreter does with what nothing has caught
        traceback.print_exc()
    finally:
        os._exit(1)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _close_all_but_streams() -> None:
    """Close the descriptors that are inherited only because nothing was executed in between, as an exec does."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only names are wanted
        descriptor = int(name)
        if descriptor > 2:
            with suppress(OSError):  # the one that was listed through
                if not _is_file(descriptor):
                    os.close(descriptor)


def _is_file(descriptor: int) -> bool:
    """Whether it may be a file that a preloaded module holds open; what this program opened are pipes and sockets."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("/")
