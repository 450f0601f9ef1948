"""Large objects keep no thread that others need, and are sent a bounded number at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from anyio import to_thread

from nbstep.profiles.storage import store_of
from nbstep.server.app import application
from nbstep.server.callers import let_in
from nbstep.server.objects import LARGE_BYTES, LARGE_READ_AT_ONCE, LARGE_SENT_AT_ONCE
from nbstep_runner.contract import RunResult, RunSpec, StorageOptions, encode
from nbstep_runner.stores import redact
from support.service import config

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

GENEROUS: Final = 120.0
LARGE: Final = "output.ipynb"
SMALL: Final = "output.result.json"


@pytest.fixture
def service(tmp_path: Path) -> ASGIApp:
    """Of one run with a large object."""
    output = tmp_path / "train-1" / LARGE
    output.parent.mkdir()
    output.write_bytes(bytes(LARGE_BYTES + 1))
    spec = RunSpec(run_id="train-1", input_uri="in.ipynb", output_uri=str(output))
    output.with_name(SMALL).write_bytes(encode(RunResult.blank(spec, redact)))
    return application(config(folders={"team": {"uri": str(tmp_path)}}))


class Reader:
    """Asks for an object, and takes no more than the head of its answer until it is told to go on."""

    def __init__(self, service: ASGIApp, name: str) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.go_on = asyncio.Event()
        self._head: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        path = f"/v1/runs/train-1/objects/{name}"
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        let_in(scope, "submitter", lambda _folder, _right: True)
        self.answer = asyncio.create_task(self._ask(service, scope))

    async def status(self) -> int:
        async with asyncio.timeout(GENEROUS):
            return await self._head

    async def _ask(self, service: ASGIApp, scope: dict[str, Any]) -> None:
        async def receive() -> Message:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # it stays connected

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.headers = dict(message["headers"])
                self._head.set_result(message["status"])
            else:
                await self.go_on.wait()

        await service(scope, receive, take)


@asynccontextmanager
async def readers(service: ASGIApp, number: int) -> AsyncIterator[list[Reader]]:
    """Readers of the large object, who are all gone in the end."""
    asked = [Reader(service, LARGE) for _ in range(number)]
    try:
        yield asked
    finally:
        for each in asked:
            each.go_on.set()
        await asyncio.gather(*(each.answer for each in asked), return_exceptions=True)


@pytest.mark.fault(62)
def test_large_objects_are_sent_a_bounded_number_at_once(service: ASGIApp) -> None:
    async def ask() -> None:
        async with readers(service, LARGE_SENT_AT_ONCE) as slow:
            assert {await each.status() for each in slow} == {200}
            async with readers(service, 1) as (refused,):
                assert (await refused.status(), refused.headers[b"retry-after"]) == (503, b"5")
            assert await Reader(service, SMALL).status() == 200
            slow[0].go_on.set()
            await slow[0].answer
            slow[1].answer.cancel()  # it is gone
            await asyncio.wait({slow[1].answer})
            async with readers(service, 2) as others:
                assert [await each.status() for each in others] == [200, 200]

    asyncio.run(ask())


@pytest.mark.fault(62)
def test_large_objects_keep_no_thread_that_others_need(service: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    store = type(store_of("/", StorageOptions()))
    read, reading, goes_on = store.read, threading.Semaphore(0), threading.Event()

    def read_slowly(self: Any, uri: str) -> Any:
        if uri.endswith(LARGE):
            reading.release()
            goes_on.wait(GENEROUS)
        return read(self, uri)

    monkeypatch.setattr(store, "read", read_slowly)

    async def ask() -> None:
        to_thread.current_default_thread_limiter().total_tokens = LARGE_READ_AT_ONCE
        async with readers(service, LARGE_READ_AT_ONCE + 1):
            for _ in range(LARGE_READ_AT_ONCE):
                assert await asyncio.to_thread(reading.acquire, timeout=GENEROUS)
            try:
                assert await Reader(service, SMALL).status() == 200
            finally:
                goes_on.set()

    asyncio.run(ask())
