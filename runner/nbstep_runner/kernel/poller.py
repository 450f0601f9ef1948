"""Waits for ZMQ sockets and file descriptors at once."""

from __future__ import annotations

import select
from typing import Any, Final

import zmq

from nbstep_runner.kernel.open_files import OpenFiles

EVENTS: Final = int(zmq.EVENTS)
POLLIN: Final = int(zmq.POLLIN)
LONGEST_SECONDS: Final = 86_400.0
"""``epoll`` takes no more than some weeks."""


class Poller:
    """What ``zmq.Poller`` does for reading, whatever becomes of the limit on open files while it waits.

    ``epoll`` does not ask for it, as ``zmq_poll`` does.

    A socket's descriptor tells of messages that come while nobody uses the socket (``ZMQ_FD``). So a socket that was
    found empty is asked again once its descriptor is readable, or after it was used to send: see :meth:`used`.
    """

    def __init__(self, open_files: OpenFiles) -> None:
        self._open_files = open_files
        self._epoll = select.epoll()
        self._sources: dict[int, Any] = {}
        self._asked: set[zmq.Socket[bytes]] = set()
        """The sockets that have to be asked before the next wait."""

    def register(self, source: Any) -> None:
        """Wait for a socket, a descriptor, or what has one (``fileno``) too."""
        if isinstance(source, zmq.Socket):
            self._asked.add(source)
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
        """Those that can be read, after at most so long, or a day; none where nothing came."""
        ready: set[Any] = set(filter(self.is_readable, tuple(self._asked)))
        longest = None if seconds is None else min(seconds, LONGEST_SECONDS)
        for descriptor, _ in self._epoll.poll(0 if ready else longest):
            source = self._sources[descriptor]
            if not isinstance(source, zmq.Socket) or self.is_readable(source):
                ready.add(source)
        return ready

    def is_readable(self, socket: zmq.Socket[bytes]) -> bool:
        """Whether a message waits on a socket, and if not, that its descriptor will tell of the next."""
        self._open_files.keep()
        if int(socket.getsockopt(EVENTS)) & POLLIN:
            self._asked.add(socket)
            return True
        self._asked.discard(socket)
        return False

    def used(self, socket: zmq.Socket[bytes]) -> None:
        """Something was sent on a socket, which can have taken what its descriptor had to tell."""
        self._asked.add(socket)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._epoll.close()
