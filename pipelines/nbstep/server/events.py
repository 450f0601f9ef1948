"""A run's log and standing as server-sent events, which go on where a client has left off.

Each line of the log is an event ``line`` with the id ``ATTEMPT-SEQ``. Ids only ever rise, so a client that comes again
with ``Last-Event-ID``, or begins with ``after=`` in the address, gets what comes after it, each line once. Lines
without a number, such as the last words of a process that crashed, have no id and may come again. ``state`` tells how
the run stands whenever that changes, ``end`` the same once nothing more will come, and ``problem`` why the stream
breaks off. With ``follow=false`` the stream is the log as it is, in the order of its attempts, and then ``end``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nbstep.backends.server.interface import EVENT_ID, Standing
from nbstep.runs.run import Run
from nbstep.server.callers import place_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolders
from nbstep.server.following import Following, Streams, is_over, number_of
from nbstep.server.problems import UNSHARED, as_problem, usage
from nbstep.server.spool import Entry, Number
from nbstep.views.log_lines import parse
from nbstep.views.status import RunStatus

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

RECONNECT_MILLISECONDS: Final = 2000
QUIET_SECONDS: Final = 15.0
"""After so long without an event a comment is sent: proxies do not give up, and readers that are gone are found."""
MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = UNSHARED | {"X-Accel-Buffering": "no"}
"""nginx passes events on as they come."""


class Events:
    """Answers with the events of one run."""

    def __init__(self, folders: RunFolders, streams: Streams, limits: Limits) -> None:
        self._folders = folders
        self._streams = streams
        self._limits = limits

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [Route("/v1/runs/{id}/events", self._listen, methods=["GET"])]

    async def _listen(self, request: Request) -> Response:
        follow = _follow(request.query_params.get("follow", "true"))
        after = last_event_id(request.headers.get("last-event-id") or request.query_params.get("after", ""))
        folder = await run_in_threadpool(place_of, request, self._folders)
        run = await run_in_threadpool(folder.run, request.path_params["id"])
        if request.method == "HEAD":
            return Response(headers=HEADERS, media_type=MEDIA_TYPE)
        bell, until = Bell(asyncio.get_running_loop()), time.monotonic() + self._limits.stream_seconds
        with ExitStack() as entered:
            if follow:
                key = (folder.name, run.id, run.handle)
                following = entered.enter_context(self._streams.listening(key, run, bell.ring))
                events = _events(self._streams, following, bell, after, until)
            else:
                entered.enter_context(self._streams.room(bell.ring))
                events = iterate_in_threadpool(_events_so_far(self._streams, run, until))
            return EventStream(events, entered.pop_all(), self._limits.stalled_seconds)


class Bell:
    """Wakes a listener on its event loop; however often it is rung meanwhile, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._rung = False

    def ring(self) -> None:
        """Wake the listener; from any thread."""
        if not self._rung:
            self._rung = True
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Wait until it was rung since the wait before; ``False`` if the time was over first."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        self._rung = False
        return True


class EventStream(StreamingResponse):
    """An answer of events; a reader that takes nothing for too long is dropped, and comes again where it was."""

    def __init__(self, events: AsyncIterator[bytes], listening: ExitStack, stalled_seconds: float) -> None:
        super().__init__(events, headers=HEADERS, media_type=MEDIA_TYPE)
        self._listening = listening
        self._stalled_seconds = stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and listen no longer than that."""
        with self._listening:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the events until they end or nobody takes them; the connection is then closed unfinished."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._stalled_seconds):
                await send(message)

        with suppress(TimeoutError):
            await super().stream_response(send_in_time)


def last_event_id(text: str) -> Number:
    """The number of the last line that a client has had; before all lines if it has had none.

    Raises:
        Problem: It is not the id of an event.
    """
    found = EVENT_ID.fullmatch(text)
    if text and not found:
        raise usage(
            f"{text[:80]!r} is the id of no event", hint="Ids are ATTEMPT-SEQ, such as 1-17. Leave it out to hear all."
        )
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _follow(text: str) -> bool:
    if text not in ("true", "false"):
        raise usage(f"follow is true or false, not {text[:80]!r}")
    return text == "true"


async def _events(
    streams: Streams, following: Following, bell: Bell, after: Number, until: float
) -> AsyncIterator[bytes]:
    yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
    position, told = 0, None
    heard = after == (0, 0)  # lines without a number come once those that the client has had are passed
    while not streams.closing and time.monotonic() < until:
        over, look = is_over(following), following.look  # before the spool: what is in it then is all
        while position < following.spool.end and not streams.closing:
            entries, position = following.spool.read(position)
            await asyncio.sleep(0)  # others are served between two pieces, of which none may be for this listener
            lines = []
            for number, line in entries:
                heard = heard or (number is not None and number >= after)
                if heard and (number is None or number > after):
                    lines.append(_line((number, line)))
            if lines:
                yield b"".join(lines)
        failure = following.error or (look if isinstance(look, Exception) else None)
        if failure is not None:
            yield event("problem", msgspec.json.encode(as_problem(failure).told))
            return
        if isinstance(look, RunStatus) and (standing := _standing(look)) != told:
            told = standing
            yield event("state", msgspec.json.encode(standing))
        if over:
            yield event("end", msgspec.json.encode(told))
            return
        if not await bell.wait(QUIET_SECONDS):
            yield b": nothing new\n\n"


def _events_so_far(streams: Streams, run: Run, until: float) -> Iterator[bytes]:
    try:
        for line in run.lines():
            if streams.closing or time.monotonic() > until:
                return
            yield _line((number_of(line), line.raw))
        yield event("end", msgspec.json.encode(_standing(run.status())))
    except Exception as error:  # noqa: BLE001 - whoever listens has to learn of it, whatever it is
        yield event("problem", msgspec.json.encode(as_problem(error).told))


def event(name: str, data: bytes, number: Number | None = None) -> bytes:
    """One event; ``data`` is a line of JSON."""
    identity = b"id: %d-%d\n" % number if number else b""
    return b"%bevent: %b\ndata: %b\n\n" % (identity, name.encode(), data)


def _line(entry: Entry) -> bytes:
    """A line of the log as it came, as long as that is one line of JSON to whoever reads events."""
    number, raw = entry
    if number is None or b"\r" in raw or b"\n" in raw:
        raw = _plain(raw)
    return event("line", raw, number)


def _plain(raw: bytes) -> bytes:
    try:
        members: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        members = None
    if not isinstance(members, dict):
        line = parse(raw)
        members = {"message": line.message, "stream": line.stream}
    return msgspec.json.encode(members)


def _standing(look: RunStatus) -> Standing:
    record = look.record
    return Standing(
        state=look.state,
        words=look.words,
        problems=look.problems,
        attempt=record.attempt if record else None,
        exit_code=record.exit_code if record else None,
        progress=record.progress if record else None,
    )
