"""Forks kernels that are ready at once: it has imported ipykernel, IPython and what the notebook imports.

Executed as a script by the kernels' own interpreter, in the environment and folder of the kernels; like
``slim_ipykernel`` it imports nothing that such an interpreter may not have. Command line::

    python fork_server.py LISTENER OWNER

LISTENER is the descriptor of a listening ``SOCK_SEQPACKET`` socket, OWNER the reading end of a pipe. The owner writes
one line of JSON to the pipe, a list of the modules to import, and holds it open: its end is the server's end. Kernels
that were forked before live on with their own clients. Each connection is one kernel; ``forked_kernel`` says what is
said on it.

The server has one thread, and never an event loop or a ZMQ context: only such a process can be forked safely. A module
that turns out to be unfit (see ``preload``) makes it start over without it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FOLDER = Path(__file__).parent
PARTS = {
    "slim": FOLDER / "slim_application.py",
    "imports": FOLDER / "slim_imports.py",
    "pipes": FOLDER / "slim_pipes.py",
    "streams": FOLDER / "slim_streams.py",
    "shell": FOLDER / "slim_shell.py",
    "commands": FOLDER / "slim_commands.py",
    "messages": FOLDER / "slim_messages.py",
    "preload": FOLDER / "preload.py",
    "processes": FOLDER.parent / "processes.py",
    "kernel": FOLDER / "forked_kernel.py",
}
WITHOUT = "--without"
USED_BY_KERNELS = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "faulthandler",
    "pdb",
    "psutil",
    "random",
    "tornado.platform.asyncio",
    "tornado.queues",
)
"""What a kernel imports on its way to its first cell, besides what importing ipykernel imports."""


def main() -> None:
    """Import, then fork until the owner is gone."""
    del sys.path[0]  # this script's folder; ipykernel adds the working directory itself
    listener, owner, *options = sys.argv[1:]
    parts = SimpleNamespace(**{name: _load(path) for name, path in PARTS.items()})
    with parts.preload.without_garbage_collection():
        parts.imports.load()
        parts.preload.preload(USED_BY_KERNELS, ())
        names, unfit = _wanted(int(owner), options)
        trouble = parts.preload.preload(names, unfit)
    if trouble:
        sys.stderr.write(f"{trouble[0]} is left to the kernels: it {trouble[1]}\n")
        _start_over(listener, owner, names, [*unfit, trouble[0]])
    Server(int(listener), int(owner), parts).serve()


def _load(path: Path) -> Any:
    """A module by its file, which is not on the path, and under no name that user code could come upon."""
    spec = importlib.util.spec_from_file_location(f"_nbstep_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _wanted(owner: int, options: list[str]) -> tuple[list[str], list[str]]:
    """The modules to import and those to leave out: from the owner, or from the process that this one was before."""
    if options[:1] == [WITHOUT]:
        names, unfit = json.loads(options[1])
        return names, unfit
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(owner, 65536)
        if not data:
            os._exit(0)
        line += data
    return json.loads(line), []


def _start_over(listener: str, owner: str, names: list[str], unfit: list[str]) -> None:
    for descriptor in (int(listener), int(owner)):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's own signature
    sys.stderr.flush()
    arguments = [*sys.orig_argv[1 : -len(sys.argv)], __file__, listener, owner, WITHOUT, json.dumps([names, unfit])]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - this very program again


class Server:
    """Passes each connection to a guardian: to one that has none, or to one that it forks."""

    def __init__(self, listener: int, owner: int, parts: Any) -> None:
        self._listener = socket.socket(fileno=listener)
        self._owner = owner
        self._parts = parts
        self._guardians: dict[int, socket.socket] = {}
        self._free: list[socket.socket] = []
        self._wake, self._writer = os.pipe()

    def serve(self) -> None:
        """Take connections until the owner is gone."""
        self._parts.processes.become_subreaper()
        os.set_blocking(self._writer, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        while True:
            guardians = {each.fileno(): each for each in self._guardians.values()}
            listener = self._listener.fileno()
            ready = _readable([self._owner, self._wake, listener, *guardians])
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._owner in ready:
                os._exit(0)
            self._free += [guardians[each] for each in ready if each in guardians and _is_free(guardians[each])]
            if listener in ready:
                self._accept()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        with client:
            while self._free:
                with suppress(OSError):  # it was killed
                    socket.send_fds(self._free.pop(), [b"."], [client.fileno()])
                    return
            self._fork(client)

    def _fork(self, client: socket.socket) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_guardian(client, its)
        its.close()
        self._guardians[pid] = ours

    def _become_guardian(self, client: socket.socket, server: socket.socket) -> None:
        """Let go of what is the server's: a client must see the server's end, not that of its last child."""
        signal.set_wakeup_fd(-1)
        for each in (self._listener, *self._guardians.values()):
            each.close()
        for descriptor in (self._owner, self._wake, self._writer):
            os.close(descriptor)
        self._parts.kernel.guard(client, server, self._parts)

    def _reap(self) -> None:
        """Collect guardians that have ended; what one has left behind, because it was killed, is now ours to end."""
        orphans = False
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                orphans = orphans or ended[1] != 0
                self._forget(ended[0])
        if orphans:
            self._parts.processes.kill_tree(0, grace=0.0, own_all_children=True, exclude=self._guardians)

    def _forget(self, pid: int) -> None:
        guardian = self._guardians.pop(pid, None)
        if guardian is not None:
            self._free = [each for each in self._free if each is not guardian]
            guardian.close()


def _readable(descriptors: list[int]) -> list[int]:
    poll = select.poll()  # unlike select, for any number of them
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll()]


def _is_free(guardian: socket.socket) -> bool:
    with suppress(OSError):
        return bool(guardian.recv(1))
    return False


if __name__ == "__main__":
    main()
