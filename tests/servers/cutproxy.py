"""A proxy for any protocol over TCP that cuts, stalls or damages a connection after some bytes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from servers.ports import LOOPBACK


class Cut(StrEnum):
    RESET = "reset"
    STALL = "stall"
    FLIP = "flip"


@dataclass
class Plan:
    """What happens once, to the connection that first carries so many bytes towards the server or the client."""

    cut: Cut
    after: int
    to_server: bool = True
    times: int = 1


@dataclass
class CutProxy:
    port: int
    upstream: int
    plans: list[Plan] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, carried: int, *, to_server: bool) -> Plan | None:
        with self.lock:
            for plan in self.plans:
                if plan.times > 0 and plan.to_server == to_server and carried > plan.after:
                    plan.times -= 1
                    return plan
        return None


def _pump(proxy: CutProxy, source: socket.socket, target: socket.socket, *, to_server: bool) -> None:
    carried = 0
    with suppress(OSError):
        while data := source.recv(65536):
            carried += len(data)
            plan = proxy.due(carried, to_server=to_server)
            if plan and plan.cut is Cut.STALL:
                proxy.over.wait(60)
                break
            if plan and plan.cut is Cut.RESET:
                break
            target.sendall(data if plan is None else data[:-1] + bytes([data[-1] ^ 1]))
    for each in (source, target):
        with suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()


def _accept(proxy: CutProxy, listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            proxy.connections += 1
            server = socket.create_connection((LOOPBACK, proxy.upstream))
            for source, target, to_server in ((client, server, True), (server, client, False)):
                arguments = {"to_server": to_server}
                threading.Thread(target=_pump, args=(proxy, source, target), kwargs=arguments, daemon=True).start()


@contextmanager
def running(upstream: int) -> Iterator[CutProxy]:
    listener = socket.create_server((LOOPBACK, 0))
    proxy = CutProxy(listener.getsockname()[1], upstream)
    thread = threading.Thread(target=_accept, args=(proxy, listener), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
