"""A way from other machines, such as pods, to a server that listens on loopback only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from servers.ports import LOOPBACK


def host_address() -> str:
    """The address of this machine that others reach it by. Sends nothing: a UDP socket only chooses a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


@contextmanager
def relayed(port: int, address: str | None = None) -> Iterator[tuple[str, int]]:
    """Everything that connects to the yielded address and port talks to ``port`` on loopback."""
    with socket.create_server((address or host_address(), 0), backlog=128) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        host, own_port = listener.getsockname()[:2]
        yield host, own_port


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection((LOOPBACK, port))
            except OSError:
                near.close()
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
