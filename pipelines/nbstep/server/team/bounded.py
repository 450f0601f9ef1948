"""An end to what one request takes: until it is answered, and while its answer is read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nbstep.server.config import Limits
from nbstep.server.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LATE: Final = Problem(
    status=504,
    reference="timed-out",
    detail="the answer is not there in time; what was asked for may happen all the same",
    hint="Ask again; a submission with the same Idempotency-Key starts nothing twice.",
)


class Bounded:
    """Answers in an application's place once it has taken too long, and leaves readers that take nothing.

    A handler that waits for a store on a thread cannot be stopped: it ends when the store does, and nobody hears it.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer it in time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._limits.stalled_seconds)
        working = asyncio.create_task(self._work(scope, receive, answer.send))
        begun = asyncio.create_task(answer.begun.wait())
        try:
            await asyncio.wait(
                {working, begun}, timeout=self._limits.request_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not working.done() and not answer.begun.is_set():
                answer.is_late = True
                unheard.add(working)
                working.add_done_callback(_forget)
                await LATE.response()(scope, receive, send)
                return
            await working
        except Exception:
            if not answer.stalled:
                raise
        except asyncio.CancelledError:
            working.cancel()
            raise
        finally:
            begun.cancel()

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


unheard: Final[set[asyncio.Task[None]]] = set()
"""Handlers that go on though nobody waits for them."""


def _forget(task: asyncio.Task[None]) -> None:
    unheard.discard(task)
    if not task.cancelled():
        task.exception()  # it was told to nobody, and nobody waits for it


class _Answer:
    """Where an answer goes.

    Attributes:
        begun: Its head is on its way.
        is_late: It is not waited for any more.
        stalled: Nobody has taken it.
    """

    def __init__(self, send: Send, stalled_seconds: float) -> None:
        self.begun = asyncio.Event()
        self.is_late = self.stalled = False
        self._send = send
        self._stalled_seconds = stalled_seconds

    async def send(self, message: Message) -> None:
        """Send a part of it.

        Raises:
            OSError: Nobody takes it: it is late, or its reader has stalled. The handler makes no more of it.
        """
        if self.is_late:
            raise OSError("the answer is late, and another was sent in its place")
        self.begun.set()
        try:
            async with asyncio.timeout(self._stalled_seconds):
                await self._send(message)
        except TimeoutError:
            self.stalled = True
            raise
