"""uvicorn with an endpoint, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from typing import Final

import uvicorn

from nbstep_runner.contract import ServingOptions
from nbstep_runner.serving.app import Endpoint
from nbstep_runner.serving.calls import REQUEST, Calls
from nbstep_runner.serving.channel import say, tell
from nbstep_runner.serving.offer import Offer
from nbstep_runner.serving.printed import Prints
from nbstep_runner.serving.signature import Signature

LULL_SECONDS: Final = 1.0
"""How long a draining endpoint still takes requests on connections that are open."""
CONNECTIONS: Final = 1024
KEEP_ALIVE_SECONDS: Final = 65
"""How long an idle connection stays open: longer than the proxies that usually stand before it keep theirs."""


class Server:
    """Answers requests for a callable from its start until it has drained.

    Args:
        offered: What is served; its example is answered at once.
        options: Where and how.

    Raises:
        TypeError: The answer to the example cannot be said.
        Exception: What the callable raised on its example.
    """

    def __init__(self, offered: Offer, options: ServingOptions) -> None:
        signature = Signature(offered.function, offered.example)
        self._options = options
        self._prints = Prints(tell)
        contextvars.copy_context().run(self._answer_example, signature)
        self._endpoint = Endpoint(signature, Calls(offered.function, options), options, tell, self._prints)
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None

    def _answer_example(self, signature: Signature) -> None:
        REQUEST.set("example")
        self._prints.begin()
        signature.learn()
        self._prints.end("example")

    def start(self) -> None:
        """Listen, and tell where.

        Raises:
            OSError: The address cannot be listened on.
        """
        listening = listening_socket(self._options.host, self._options.port)
        threading.Thread(target=self._live, args=(listening,), name="nbstep-serving", daemon=True).start()
        self._begun.wait()
        if self._failure is not None:
            raise self._failure
        host, port = listening.getsockname()[:2]
        say("listening", host=host, port=port)

    def drain(self, seconds: float) -> None:
        """Answer what is under way and whoever still comes, then end; from any thread, and returns at once."""
        if self._loop is not None and self._server is not None:
            asyncio.run_coroutine_threadsafe(self._drain(self._server, seconds), self._loop)

    def _live(self, listening: socket.socket) -> None:
        """Serve until the end, and tell it."""
        reason = ""
        try:
            asyncio.run(self._serve(listening))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the runner has to know
            self._failure = error
            reason = f"{type(error).__name__}: {error}"
        self._begun.set()
        say("ended", reason=reason)

    async def _serve(self, listening: socket.socket) -> None:
        config = uvicorn.Config(
            self._endpoint.app(),
            access_log=False,
            log_config=None,
            lifespan="off",
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            server_header=False,
        )
        server = uvicorn.Server(config)
        begin_listening = server.startup

        async def startup(sockets: list[socket.socket] | None = None) -> None:
            await begin_listening(sockets)
            self._begun.set()

        server.startup = startup  # type: ignore[method-assign] # it has no other way to say that it listens
        self._loop, self._server = asyncio.get_running_loop(), server
        await server.serve([listening])

    async def _drain(self, server: uvicorn.Server, seconds: float) -> None:
        """Let open connections end with their next answer, then stop listening and wait for what is under way."""
        self._endpoint.draining = True
        lull = min(LULL_SECONDS, seconds / 4)
        await asyncio.sleep(lull)
        server.config.timeout_graceful_shutdown = max(1, int(seconds - lull))
        server.should_exit = True


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there, whose connections send what they are given at once.

    Raises:
        OSError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    # Connections inherit it. asyncio sets it only where a socket was made with its protocol named, and without it each
    # answer's body waits 40 ms for the client's acknowledgement of the head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
