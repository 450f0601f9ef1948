"""Waits for ZMQ sockets and file descriptors at once."""

from __future__ import annotations

import select
from typing import Any

import zmq

from nbstep_runner.kernel.open_files import OpenFiles


class Poller:
    """What ``zmq.Poller`` does for reading, whatever becomes of the limit on open files while it waits.

    ``epoll`` does not ask for it, as ``zmq_poll`` does.
    """

    def __init__(self, open_files: OpenFiles) -> None:
        self._open_files = open_files
        self._epoll = select.epoll()
        self._sources: dict[int, Any] = {}
        self._sockets: list[zmq.Socket[bytes]] = []

    def register(self, source: Any) -> None:
        """Wait for a socket, a descriptor, or what has one (``fileno``) too."""
        if isinstance(source, zmq.Socket):
            self._sockets.append(source)
            descriptor = int(source.getsockopt(zmq.FD))
        else:
            descriptor = source if isinstance(source, int) else source.fileno()
        self._sources[descriptor] = source
        self._epoll.register(descriptor, select.EPOLLIN)

    def unregister(self, descriptor: int) -> None:
        """Wait for a descriptor no longer."""
        self._epoll.unregister(descriptor)
        del self._sources[descriptor]

    def poll(self, seconds: float | None) -> set[Any]:
        """Those that can be read, after at most so long; none where nothing came."""
        ready = self._ready_sockets()
        events = self._epoll.poll(0 if ready else seconds)
        descriptors = (self._sources[descriptor] for descriptor, _ in events)
        found = {source for source in descriptors if not isinstance(source, zmq.Socket)}
        return found.union(ready or self._ready_sockets())

    def _ready_sockets(self) -> list[zmq.Socket[bytes]]:
        """Sockets with messages. Their descriptors say only that something may have changed (``ZMQ_FD``)."""
        self._open_files.keep()
        return [socket for socket in self._sockets if int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN]

    def close(self) -> None:
        """Wait for nothing any more."""
        self._epoll.close()
