"""An end to what one request takes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from nbstep.server.config import Limits
from nbstep.server.team import bounded
from nbstep.server.team.bounded import Bounded
from support.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import Message, Send


def app(handler: Callable[[Request], Any], **limits: Any) -> Bounded:
    return Bounded(Starlette(routes=[Route("/", handler)]), Limits(**limits))


def test_a_handler_that_takes_too_long_is_answered_for() -> None:
    hold = threading.Event()

    def wait(_: Request) -> PlainTextResponse:
        hold.wait(60)
        return PlainTextResponse("late")

    async def ask() -> tuple[int, str]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await app(wait, request_seconds=0.05)(scope, receive, send)
        hold.set()
        await asyncio.gather(*bounded.unheard, return_exceptions=True)
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent).decode()

    status, body = asyncio.run(ask())
    assert (status, "same Idempotency-Key" in body, "late" in body) == (504, True, False)


def test_an_answer_that_comes_late_is_not_made_to_its_end() -> None:
    made: list[int] = []

    async def ask() -> None:
        is_answered = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            for number in range(3):
                made.append(number)
                yield b"x"

        async def late(_: Request) -> StreamingResponse:
            await is_answered.wait()
            return StreamingResponse(chunks())

        await _ask(app(late, request_seconds=0.05))
        is_answered.set()
        await asyncio.gather(*bounded.unheard, return_exceptions=True)

    asyncio.run(ask())
    assert made == []


def test_what_is_in_time_is_passed_on() -> None:
    service = Service(app(lambda _: PlainTextResponse("here")))
    assert (service.get("/").text, service.get("/other").status_code) == ("here", 404)


def test_a_fault_stays_one() -> None:
    def fail(_: Request) -> PlainTextResponse:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(_ask(app(fail)))


def test_a_reader_that_takes_nothing_is_left() -> None:
    async def never(_: Message) -> None:
        await asyncio.Event().wait()

    asyncio.run(_ask(app(lambda _: PlainTextResponse("here"), stalled_seconds=0.05), never))


async def _ask(asked: Bounded, send: Send | None = None) -> None:
    async def receive() -> Message:
        return await asyncio.Event().wait()  # type: ignore[return-value]  # it stays connected

    async def take(_: Message) -> None:
        return

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await asked(scope, receive, send or take)
