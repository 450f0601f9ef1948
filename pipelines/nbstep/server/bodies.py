"""Bodies of requests: read as long as they are small and quick enough, and as what they say they are."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from nbstep.authoring.notebook import label_of
from nbstep.server.config import Limits
from nbstep.server.problems import Problem, bad_input, over_limit, usage

if TYPE_CHECKING:
    from starlette.types import Message

BODY_SECONDS: Final = 120.0
FORM_FIELDS: Final = 2000
"""Of a form that has a field for each parameter of a notebook."""
CARRIED_BYTES: Final = 2**23
"""The largest notebook that a form carries from its first step to the second."""
T = TypeVar("T")


def too_large(most: int) -> Problem:
    """The request is larger than is read."""
    return over_limit(f"the request's body is larger than {most} bytes")


async def read_json(request: Request, kind: type[T], limits: Limits) -> T:
    """A request's JSON as one of the interface's types; an empty body is an empty object.

    Raises:
        Problem: It is too large, too slow, or does not fit.
    """
    async with _bounded(request, limits.body_bytes) as bounded:
        return decoded(await bounded.body() or b"{}", kind)


async def read_fields(request: Request, limits: Limits, most: int) -> tuple[dict[str, str], bytes]:
    """The fields of a form that may have a file, as browsers send it, and the file; its name is the field ``name``.

    Args:
        request: Of which it is the body.
        limits: Of bodies.
        most: Bytes of the file; a field may hold as much of it as base64 makes of that.

    Raises:
        Problem: It is too large or too slow, or none that can be read.
    """
    longest = 4 * most // 3 + limits.body_bytes
    async with _bounded(request, longest) as bounded:
        try:
            form = await bounded.form(max_files=1, max_fields=FORM_FIELDS, max_part_size=longest)
        except (HTTPException, MultiPartException) as error:
            raise usage(
                f"the form cannot be read: {getattr(error, 'message', '') or getattr(error, 'detail', '')}"
            ) from None
        try:
            texts = {name: value for name, value in form.items() if isinstance(value, str)}
            fields = {name: value.encode(errors="replace").decode() for name, value in texts.items()}
            file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if file is None or not file.filename:
                return fields, b""
            if (file.size or 0) > most:
                raise too_large(most)
            return {**fields, "name": file.filename.encode(errors="replace").decode()}, await file.read()
        finally:
            await form.close()


def carried(name: str, data: bytes) -> dict[str, str]:
    """A file as fields of a form, by which it comes back with the next."""
    return {"name": name, "carried": base64.b64encode(data).decode()}


def brought(fields: Mapping[str, str]) -> bytes:
    """The file that fields of :func:`carried` hold.

    Raises:
        Problem: They are damaged.
    """
    try:
        return base64.b64decode(fields["carried"], validate=True)
    except ValueError:
        raise bad_input("the notebook that the form carries is damaged", hint="Choose it again.") from None


def decoded(data: bytes, kind: type[T]) -> T:
    """JSON as one of the interface's types.

    Raises:
        Problem: It does not fit.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the request does not fit: {error}") from None


@asynccontextmanager
async def asked_for(request: Request, kind: type[T], limits: Limits) -> AsyncIterator[tuple[T, Path | None]]:
    """What is asked for, as JSON, or as a form with a notebook, which is there as long as the context is.

    Raises:
        Problem: As of :func:`read_json` and :func:`uploaded`.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with uploaded(request, limits) as (data, notebook):
            yield decoded(data, kind), notebook
    else:
        yield await read_json(request, kind, limits), None


@asynccontextmanager
async def uploaded(request: Request, limits: Limits) -> AsyncIterator[tuple[bytes, Path]]:
    """The fields of a form: ``request``, JSON, and ``notebook``, a file, as long as the context is.

    Raises:
        Problem: It is too large, too slow, or another form.
        HTTPException: It is none that can be read.
    """
    with TemporaryDirectory(prefix="nbstep-upload-") as folder:
        async with _bounded(request, limits.upload_bytes + limits.body_bytes) as bounded:
            form = await bounded.form(max_files=1, max_fields=1, max_part_size=limits.body_bytes)
            asked, file = form.get("request", "{}"), form.get("notebook")
            if not isinstance(file, UploadFile) or not isinstance(asked, str):
                raise bad_input(
                    "the form does not fit: it has a file `notebook`, and perhaps a field `request` with JSON"
                )
            try:
                if (file.size or 0) > limits.upload_bytes:
                    raise too_large(limits.upload_bytes)
                place = Path(folder) / f"{label_of(file.filename or '', 40, 'notebook')}.ipynb"
                with place.open("wb") as copy:
                    await asyncio.to_thread(shutil.copyfileobj, file.file, copy)
            finally:
                await form.close()
        yield asked.encode(errors="replace"), place


@asynccontextmanager
async def _bounded(request: Request, most: int) -> AsyncIterator[Request]:
    """The same request, whose body ends with a problem where it goes past its bounds."""
    if request.headers.get("content-encoding", "identity") != "identity":
        detail = "a compressed body is not read: a small one can become a large one"
        raise Problem(status=415, reference="bad-input", detail=detail, hint="Send it as it is.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise too_large(most)
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise too_large(most)
        return message

    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield Request(request.scope, receive)
    except TimeoutError:
        detail = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise Problem(status=408, reference="timed-out", detail=detail) from None
