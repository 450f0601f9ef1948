"""uvicorn: streams end when the server is asked to, and connections do not wait for ever."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nbstep.server.access import OPEN
from nbstep.server.following import BUSY_SECONDS, Streams
from nbstep.server.problems import busy, usage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

STOP_SECONDS: Final = 10
"""How long requests that are under way may take once the server is asked to end."""
BACKLOG: Final = 256
HEAD_SECONDS: Final = 10.0
"""How long a connection is kept without the whole head of a request: from its beginning, and from each answer on."""
TAKE_SECONDS: Final = 120.0
"""How long a connection is kept whose client takes nothing of an answer that it was sent."""


class Connection(H11Protocol):
    """A connection that is closed where no request comes.

    uvicorn itself waits for the first request, and for the rest of one that has begun, without end, and each
    connection is one of those that it may have.
    """

    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Give a client that has connected its time for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something of a request has come."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has a head that is too long, as all else that cannot be answered."""
        told = usage(msg).response()
        headers = [*told.raw_headers, (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(bytes(told.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.write_eof()  # what is still on its way would reset the connection before the answer is read
        self._refused = True

    def _unsupported_upgrade_warning(self) -> None:
        """A request for another protocol is answered as any other: that anybody sends one is no news for the log."""

    def on_response_complete(self) -> None:
        """A request is answered."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        """Keep to the deadline, which nothing puts off but a request that is whole enough to be answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._end, 0, self.loop.time())

    def _end(self, waiting: int, since: float) -> None:
        """Close it, or look again later: uvicorn calls an answer complete while much of it may be on its way.

        Args:
            waiting: Bytes that the client had still to take when this was looked at last.
            since: When it last took some.
        """
        left, now = self.transport.get_write_buffer_size(), self.loop.time()
        since = since if left == waiting else now
        if left == 0 or now - since >= TAKE_SECONDS:
            self.transport.abort()
        else:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._end, left, since)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """Serves an application until SIGINT or SIGTERM, then ends its streams and answers what is under way.

    Args:
        app: Answers requests.
        streams: Its open streams.
        connections: How many it holds at once; without bound if ``None``.
    """

    def __init__(self, app: ASGIApp, streams: Streams, connections: int | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                self._answered,
                interface="asgi3",
                http=Connection,
                ws="none",
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # whoever sends them could say that they come from somewhere else
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._app = app
        self._streams = streams
        self._connections = connections

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, unless too many connections are open; that the server lives is told all the same."""
        held = len(self.server_state.connections)
        if self._connections is not None and held > self._connections and scope["path"] not in OPEN:
            problem = busy(f"{held} connections are open, more than may be", BUSY_SECONDS)
            problem.headers["Connection"] = "close"
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would go on for ever, then wait for the rest."""
        self._streams.close()
        await super().shutdown(sockets)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there; its connections send what they are given at once.

    Raises:
        OSError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # inherited; asyncio sets it for its own sockets only
    return listening
