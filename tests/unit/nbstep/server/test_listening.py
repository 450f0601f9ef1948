"""A connection on which no request comes is closed: each is one of those that a server may have."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest
from starlette.responses import PlainTextResponse

from nbstep.server import listening
from nbstep.server.following import Streams
from support.service import serving

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

GENEROUS: Final = 120.0
SOON: Final = 0.05
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("answered")(scope, receive, send)


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), GENEROUS)) as connected:
        yield connected


def until_closed(connected: socket.socket, sent: bytes) -> None:
    """Wait until the server closes it, whatever it has been sent.

    Raises:
        TimeoutError: It does not.
    """
    with suppress(ConnectionError):
        connected.sendall(sent)
        while connected.recv(2**16):
            pass


def test_another_protocol_is_not_spoken_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with serving(answer, Streams(1)) as port, connection(port) as connected:
        head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        connected.sendall(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        received = b""
        while some := connected.recv(2**16):
            received += some
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"answered")
    assert "upgrade" not in caplog.text.lower()


@pytest.mark.fault(62)
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_a_head_that_does_not_come(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", SOON)
    with serving(answer, Streams(1)) as port, connection(port) as connected:
        until_closed(connected, sent)


@pytest.mark.fault(62)
def test_a_request_is_answered_however_long_that_takes_and_the_next_has_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", GENEROUS)

    async def answer_slowly(scope: Scope, receive: Receive, send: Send) -> None:
        listening.HEAD_SECONDS = SOON  # type: ignore[misc]  # from now on: the client has connected, and asked
        await asyncio.sleep(2 * SOON)
        await answer(scope, receive, send)

    with serving(answer_slowly, Streams(1)) as port, connection(port) as connected:
        connected.sendall(2 * REQUEST)
        received = b""
        while received.count(b"answered") < 2 and (some := connected.recv(2**16)):
            received += some
        assert received.count(b"answered") == 2
        until_closed(connected, b"G")


@pytest.mark.fault(62)
def test_an_answer_is_sent_whole_however_slowly_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", GENEROUS)
    body = b"x" * 2**24

    async def answer_at_length(scope: Scope, receive: Receive, send: Send) -> None:
        listening.HEAD_SECONDS = SOON  # type: ignore[misc]  # from now on: the client has asked
        await PlainTextResponse(body)(scope, receive, send)

    with serving(answer_at_length, Streams(1)) as port, connection(port) as connected:
        connected.sendall(REQUEST)
        received = len(connected.recv(2**16))
        time.sleep(4 * SOON)
        with suppress(ConnectionError):
            while some := connected.recv(2**16):
                received += len(some)
        assert received > len(body)
