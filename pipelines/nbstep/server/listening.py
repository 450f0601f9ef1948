"""uvicorn with an application whose streams end when the server is asked to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import uvicorn

from nbstep.server.following import Streams

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STOP_SECONDS: Final = 10
"""How long requests that are under way may take once the server is asked to end."""
BACKLOG: Final = 256


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
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # whoever sends them could say that they come from somewhere else
                limit_concurrency=connections,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._streams = streams

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
