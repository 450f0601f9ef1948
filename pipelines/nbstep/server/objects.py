"""The objects of a run that are sent: those beside its output that every run has, and what its record says it left."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from nbstep.runs.files import file_uri
from nbstep.runs.run import Run
from nbstep.server.links import lies_in
from nbstep.server.problems import UNSHARED, Problem, conflict, not_found, over_limit
from nbstep_runner.contract import FILES, LOG_ENDING, OUTPUT, PAGE_ENDING, PARTIAL_ENDING, RECORD_ENDING
from nbstep_runner.stores import checksum, sibling

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

KINDS: Final = {
    ".ipynb": "application/x-ipynb+json",
    RECORD_ENDING: "application/json",
    LOG_ENDING: "application/x-ndjson",
    PAGE_ENDING: "text/html; charset=utf-8",
    PARTIAL_ENDING: "application/x-ipynb+json",
}
"""Endings of what lies beside an output, with its media type."""
LARGE_BYTES: Final = 2**20
LARGE_READ_AT_ONCE: Final = 2
"""Each is in memory while it is read. They wait on threads of their own: whoever asks for many must not keep all."""
LARGE_SENT_AT_ONCE: Final = 12
"""Each is on disk until its reader has it, however slow that is."""
CHUNK: Final = 2**16
BINARY: Final = "application/octet-stream"
PAGE_POLICY: Final = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
"""Of what a notebook made: shown without scripts, as of no origin, and without asking anybody for anything."""


@dataclass(frozen=True, slots=True)
class RunObject:
    """One object of a run.

    Attributes:
        name: Below the run's folder; what a client asks for.
        checksum: ``sha256:…`` where the record names it.
    """

    name: str
    uri: str
    media_type: str
    checksum: str | None = None


def objects_of(run: Run) -> dict[str, RunObject]:
    """What may be asked for of a run, by name, whether or not it is there."""
    beside = (
        RunObject(sibling(OUTPUT, ending), sibling(run.output_uri, ending), media_type)
        for ending, media_type in KINDS.items()
    )
    record = run.record()
    left = (
        RunObject(f"{sibling(OUTPUT, FILES)}/{file.path}", file_uri(run.output_uri, file.path), BINARY, file.checksum)
        for file in (record.files if record else ())
    )
    return {each.name: each for each in (*beside, *left)}


class Sender:
    """Sends objects. A large one is read into memory whole, as stores give it, but waits for its reader on disk.

    Args:
        most_bytes: Of an object that is sent.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._reading = CapacityLimiter(LARGE_READ_AT_ONCE)
        self._sending = threading.BoundedSemaphore(LARGE_SENT_AT_ONCE)

    async def send(self, run: Run, name: str) -> Response:
        """An object as an answer.

        Raises:
            Problem: The run has none of that name, it is larger than is sent, or is not what the record names; or as
                many large ones are being sent as may be at once.
        """
        wanted, size = await run_in_threadpool(self._found, run, name)
        if size <= LARGE_BYTES:
            data = await run_in_threadpool(_read, run, wanted)
            return Response(data, headers=_headers(wanted), media_type=wanted.media_type)
        with ExitStack() as held:
            if not self._sending.acquire(blocking=False):
                raise _busy()
            held.callback(self._sending.release)
            file, size = await to_thread.run_sync(_onto_disk, run, wanted, limiter=self._reading)
            return _FromDisk(held.enter_context(file), size, wanted, held.pop_all())

    def _found(self, run: Run, name: str) -> tuple[RunObject, int]:
        """An object that may be sent, and its size in bytes. Blocks."""
        wanted = objects_of(run).get(name)
        stat = None if wanted is None else run.store.stat(wanted.uri)
        if wanted is None or stat is None or not lies_in(wanted.uri, run.output_uri.rpartition("/")[0]):
            raise not_found(f"object {name[:200]!r} of the run {run.id}")
        if stat.size > self._most_bytes:
            raise over_limit(
                f"{name} has {stat.size} bytes; this server sends objects up to {self._most_bytes}",
                hint="Fetch it from where it lies, with the command `nbstep files`.",
            )
        return wanted, stat.size


class _FromDisk(StreamingResponse):
    """A file as an answer; ``held`` is let go once it is sent, or nobody takes it any more."""

    def __init__(self, file: IO[bytes], size: int, wanted: RunObject, held: ExitStack) -> None:
        headers = _headers(wanted) | {"Content-Length": str(size)}
        super().__init__(iter(partial(file.read, CHUNK), b""), headers=headers, media_type=wanted.media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the object, and let go of what is held for it, however that ends."""
        with self._held:
            await super().__call__(scope, receive, send)


def _busy() -> Problem:
    return Problem(
        status=503,
        reference="busy",
        detail=f"{LARGE_SENT_AT_ONCE} large objects are being sent, as many as this server sends at once",
        hint="Ask again once one of them is there.",
        headers={"Retry-After": "5"},
    )


def _onto_disk(run: Run, wanted: RunObject) -> tuple[IO[bytes], int]:
    """An object in a file without a name, and its size in bytes. Blocks."""
    data = _read(run, wanted)
    with ExitStack() as opened:
        file = opened.enter_context(TemporaryFile(prefix="nbstep-object-"))
        file.write(data)
        file.seek(0)
        opened.pop_all()
    return file, len(data)


def _read(run: Run, wanted: RunObject) -> bytes:
    data = run.store.read(wanted.uri).data
    if wanted.checksum is not None and checksum(data) != wanted.checksum:
        raise conflict(
            f"{wanted.name} is not the file that the record names: its checksum differs",
            hint="The run was made again since: look at its record once more.",
        )
    return data


def _headers(wanted: RunObject) -> dict[str, str]:
    shown = wanted.media_type.startswith("text/html")
    name = quote(wanted.name.rpartition("/")[2], safe="")
    return UNSHARED | {
        "Content-Disposition": "inline" if shown else f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": PAGE_POLICY,
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
    }
