"""The runner's end of a kernel's sockets: requests out, messages in, nothing polled."""

from __future__ import annotations

from typing import Any, Final, Self

import zmq

from nbstep_runner.kernel.connection import Connection
from nbstep_runner.kernel.open_files import OpenFiles
from nbstep_runner.kernel.wire import Message, Wire

RECONNECT_MS: Final = 5
"""How soon ZMQ tries a socket again that the kernel has not bound yet; its own default of 100 ms delays every start."""
CLOSE_LINGER_MS: Final = 0
SNDMORE: Final = int(zmq.SNDMORE)
HELD_MESSAGES: Final = 4
"""Messages of any size, so few of them; the kernel waits."""


class KernelClient:
    """Sockets to one kernel. Not thread-safe: it belongs to the loop that reads it.

    Args:
        connection: Where the kernel listens.
        open_files: Looked after, because ZMQ needs it.
        bounded: The kernel is ours: it waits for a slow reader, so few messages need to be held here. Other kernels
            drop what finds no place (``ZMQ_PUB``), so for them everything is held: memory before lost output.

    Attributes:
        stdin: Where a kernel that is not ours may ask for input, though no request allows that.
    """

    def __init__(self, connection: Connection, open_files: OpenFiles, *, bounded: bool) -> None:
        self._open_files = open_files
        self._high_water_mark = HELD_MESSAGES if bounded else 0
        self._wire = Wire(connection.key)
        self._context = zmq.Context()
        self.shell = self._open(zmq.DEALER, connection.address("shell"))
        self.control = self._open(zmq.DEALER, connection.address("control"))
        self.iopub = self._open(zmq.SUB, connection.address("iopub"))
        self.heartbeat = self._open(zmq.DEALER, connection.address("hb"))
        self.stdin = None if bounded else self._open(zmq.DEALER, connection.address("stdin"))
        self.iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._hangups = {
            each: each.get_monitor_socket(zmq.EVENT_DISCONNECTED) for each in (self.shell, self.control, self.iopub)
        }

    def wait_after_death(self, socket: zmq.Socket[bytes], milliseconds: int) -> bool:
        """Whether a dead kernel has sent something more on a socket; waits no longer than needed to know.

        ZMQ reads a connection to its end before it says that it is gone (``zmq_socket_monitor``).
        """
        hangup = self._hangups[socket]
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        self._open_files.keep()
        if not hangup.poll(0):
            poller.register(hangup, zmq.POLLIN)
            poller.poll(milliseconds)
        return bool(socket.poll(0))

    def _open(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, CLOSE_LINGER_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RCVHWM, self._high_water_mark)
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.ROUTING_ID, self._wire.session.encode())  # by which a kernel asks whoever asked it
        socket.connect(address)
        return socket

    def request(
        self, socket: zmq.Socket[bytes], kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> str:
        """Send a request and return its ``msg_id``."""
        msg_id, frames = self._wire.request(kind, content, metadata or {})
        self._open_files.keep()
        for frame in frames[:-1]:
            socket.send(frame, SNDMORE)  # with a plain number: pyzmq takes longer to make a flag than to send
        socket.send(frames[-1])
        return msg_id

    def receive(self, socket: zmq.Socket[bytes]) -> Message | None:
        """The next message that waits on a socket, without waiting for one; ``None`` where there is none.

        A message that does not carry our signature is passed over.
        """
        while True:
            self._open_files.keep()
            try:
                message = self._wire.receive(socket)
            except zmq.Again:
                return None
            if message is not None:
                return message

    def ping(self) -> None:
        """Send a heartbeat; the empty frame makes a DEALER speak as the REQ that the kernel's REP expects."""
        self._open_files.keep()
        self.heartbeat.send_multipart([b"", b"ping"])

    def pong(self) -> bool:
        """Whether heartbeats have come back since the last call."""
        answered = False
        while True:
            try:
                self.heartbeat.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return answered
            answered = True

    def close(self) -> None:
        """Close every socket at once; what has not been sent is dropped."""
        self._context.destroy(linger=CLOSE_LINGER_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
