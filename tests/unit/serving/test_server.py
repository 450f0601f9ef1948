"""The socket of an endpoint."""

from __future__ import annotations

import socket
from contextlib import closing

from nbstep_runner.serving.server import listening_socket


def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    with (
        closing(listening_socket("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
        closing(listening.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
