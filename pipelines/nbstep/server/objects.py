"""The objects of a run that are sent: those beside its output that every run has, and what its record says it left."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from nbstep.runs.files import file_uri
from nbstep.runs.run import Run
from nbstep.server.problems import Problem, not_found
from nbstep_runner.contract import FILES
from nbstep_runner.stores import sibling

STEM: Final = "output"
KINDS: Final = {
    ".ipynb": "application/x-ipynb+json",
    ".result.json": "application/json",
    ".log.jsonl": "application/x-ndjson",
    ".html": "text/html; charset=utf-8",
    ".partial.ipynb": "application/x-ipynb+json",
}
"""Endings of what lies beside an output, with its media type."""
LARGE_BYTES: Final = 2**20
LARGE_AT_ONCE: Final = 2
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
        RunObject(f"{STEM}{ending}", sibling(run.output_uri, ending), media_type)
        for ending, media_type in KINDS.items()
    )
    record = run.record()
    left = (
        RunObject(f"{STEM}{FILES}/{file.path}", file_uri(run.output_uri, file.path), BINARY, file.checksum)
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
        self._reading = threading.BoundedSemaphore(LARGE_AT_ONCE)

    def send(self, run: Run, name: str) -> Response:
        """An object as an answer.

        Raises:
            Problem: The run has none of that name, it is larger than is sent, or is not what the record names.
        """
        wanted = objects_of(run).get(name)
        stat = None if wanted is None else run.store.stat(wanted.uri)
        if wanted is None or stat is None or not lies_in(wanted.uri, run.output_uri):
            raise not_found(f"object {name[:200]!r} of the run {run.id}")
        if stat.size > self._most_bytes:
            raise Problem(
                status=413,
                reference="too-large",
                detail=f"{name} has {stat.size} bytes; this server sends objects up to {self._most_bytes}",
                hint="Fetch it from where it lies, with the command `nbstep files`.",
            )
        if stat.size <= LARGE_BYTES:
            return Response(_read(run, wanted), headers=_headers(wanted), media_type=wanted.media_type)
        with self._reading, ExitStack() as opened:
            file = opened.enter_context(TemporaryFile(prefix="nbstep-object-"))
            size = file.write(_read(run, wanted))
            file.seek(0)
            headers = _headers(wanted) | {"Content-Length": str(size)}
            return StreamingResponse(_chunks(file, opened.pop_all()), headers=headers, media_type=wanted.media_type)


def _read(run: Run, wanted: RunObject) -> bytes:
    data = run.store.read(wanted.uri).data
    if wanted.checksum is not None and f"sha256:{hashlib.sha256(data).hexdigest()}" != wanted.checksum:
        raise Problem(
            status=409,
            reference="output-conflict",
            detail=f"{wanted.name} is not the file that the record names: its checksum differs",
            hint="The run was made again since: look at its record once more.",
        )
    return data


def _chunks(file: IO[bytes], opened: ExitStack) -> Iterator[bytes]:
    with opened:
        while chunk := file.read(CHUNK):
            yield chunk


def lies_in(uri: str, output_uri: str) -> bool:
    """Whether a file lies in the run's folder by way of no link; elsewhere than on this machine there are none."""
    return "://" in uri or Path(uri).resolve().is_relative_to(Path(output_uri).parent.resolve())


def _headers(wanted: RunObject) -> dict[str, str]:
    shown = wanted.media_type.startswith("text/html")
    name = quote(wanted.name.rpartition("/")[2], safe="")
    return {
        "Content-Disposition": "inline" if shown else f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": PAGE_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
    }
