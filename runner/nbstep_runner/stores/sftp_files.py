"""Files on an SFTP server, whole: read in parallel, written under a temporary name, put in place in one step.

Requests are sent without waiting for the answers of those before, so that a transfer takes the time of its bytes and
not of a round trip for each block. Where the server offers them, the extensions of OpenSSH are used: ``fsync`` and
``posix-rename`` (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL).
"""

from __future__ import annotations

import asyncio
import secrets
import stat as modes
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from typing import BinaryIO, Final

import asyncssh

from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError
from nbstep_runner.stores import content
from nbstep_runner.stores.atomicfile import LEFTOVER_SECONDS, TEMP_PREFIX, TEMP_SUFFIX, is_temporary
from nbstep_runner.stores.protocol import ABSENT, Source
from nbstep_runner.stores.retrying import TransientError
from nbstep_runner.stores.sftp_connection import Watched

_AT_ONCE: Final = 64
_tidied: Final[dict[tuple[int, str], asyncio.Task[None]]] = {}
"""The folders that leftovers are being removed from, or were; an event loop keeps no reference to its tasks."""


def version_of(attributes: asyncssh.SFTPAttrs) -> str:
    """From time and size; :func:`write` sees to it that a new object never has the version of the one before."""
    return f"{attributes.mtime or 0:x}-{attributes.size or 0:x}"


async def read(client: asyncssh.SFTPClient, path: str, watched: Watched) -> tuple[bytes, str]:
    """All bytes of a file and its version; the handle pins the file even if another takes its name."""
    async with client.open(path, "rb", encoding=None) as file:
        before = await file.stat()
        size = before.size or 0
        if not modes.S_ISREG(before.permissions or modes.S_IFREG):
            raise BadInputError("A folder or a device is no object.", hint="Name a file.")
        if size > content.READ_LIMIT:
            raise BadInputError(f"The object is larger than {content.READ_LIMIT // 2**30} GiB.")
        data, received = bytearray(size), 0
        async for offset, piece in await file.read_parallel(size, 0):
            watched.moved()
            data[offset : offset + len(piece)] = piece
            received += len(piece)
        if received != size or version_of(await file.stat()) != version_of(before):
            raise TransientError("the file changed while it was read")
    return bytes(data), version_of(before)


async def write(client: asyncssh.SFTPClient, path: str, data: Source, if_version: str | None, watched: Watched) -> str:
    """Put a file in place and return its version; see ``Store.write``."""
    folder = path.rpartition("/")[0] or "."
    temporary = f"{folder}/{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}"
    try:
        return await _write(client, path, temporary, data, if_version, watched)
    except (asyncssh.SFTPError, NbstepError, TransientError):
        with suppress(asyncssh.Error, OSError):
            await client.remove(temporary)
        raise


async def _write(
    client: asyncssh.SFTPClient, path: str, temporary: str, data: Source, if_version: str | None, watched: Watched
) -> str:
    old = await _lstat(client, path)
    _check(path, old, if_version)
    async with await _created(client, temporary) as file:
        await _send(file, data, client.limits.max_write_len, watched)
        with suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()
        new = await file.stat()
    if new.size != content.size_of(data):
        raise TransientError("the server kept another number of bytes")
    now = new.mtime or 0
    new.mtime = await _told_apart(client, temporary, old, new)
    await _place(client, temporary, path, if_version)
    _tidy_later(client, path.rpartition("/")[0] or ".", now)
    return version_of(new)


def _check(path: str, old: asyncssh.SFTPAttrs | None, if_version: str | None) -> None:
    mode = old.permissions or modes.S_IFREG if old else modes.S_IFREG
    if modes.S_ISLNK(mode):
        raise BadInputError(f"{path} is a symbolic link, and is refused as an output.", hint="Name the file itself.")
    if not modes.S_ISREG(mode):
        raise BadInputError(f"{path} is a folder or a device, not a file.", hint="Name a file as the output.")
    _expect(path, old, if_version)


def _expect(path: str, found: asyncssh.SFTPAttrs | None, if_version: str | None) -> None:
    if if_version is not None and (version_of(found) if found else ABSENT) != if_version:
        raise OutputConflictError(f"{path} was created, changed or removed by another meanwhile.")


async def _created(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPClientFile:
    """A new file; missing folders above it are made."""
    try:
        return await client.open(path, "wb", encoding=None)
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        await _make_folders(client, path.rpartition("/")[0])
        return await client.open(path, "wb", encoding=None)


async def _make_folders(client: asyncssh.SFTPClient, folder: str) -> None:
    try:
        await client.makedirs(folder, exist_ok=True)
    except asyncssh.SFTPFailure as error:
        raise BadInputError(f"The folder {folder} cannot be made: {error.reason}.", hint="Name another.") from error


async def _send(file: asyncssh.SFTPClientFile, data: Source, block: int, watched: Watched) -> None:
    with content.opened(data) as stream:
        pieces = _pieces(stream, block)

        async def send_some() -> None:
            for offset, piece in pieces:
                await file.write(piece, offset)
                watched.moved()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(send_some())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None


def _pieces(stream: BinaryIO, block: int) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while piece := stream.read(block):
        yield offset, piece
        offset += len(piece)


async def _told_apart(
    client: asyncssh.SFTPClient, temporary: str, old: asyncssh.SFTPAttrs | None, new: asyncssh.SFTPAttrs
) -> int:
    """The new file's time, moved on where size and second are the old one's: the protocol knows whole seconds."""
    now, before = new.mtime or 0, old.mtime or 0 if old else 0
    if old and old.size == new.size and before >= now:
        now = before + 1
        await client.utime(temporary, (now, now))
    return now


async def _place(client: asyncssh.SFTPClient, temporary: str, path: str, if_version: str | None) -> None:
    if if_version == ABSENT:
        await _create(client, temporary, path)
        return
    if if_version is not None:
        _expect(path, await _lstat(client, path), if_version)
    try:
        await client.posix_rename(temporary, path)
    except asyncssh.SFTPOpUnsupported:  # the plain rename never replaces: there is a moment without the object
        with suppress(asyncssh.SFTPNoSuchFile):
            await client.remove(path)
        await client.rename(temporary, path)


async def _create(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """The plain rename of the protocol refuses to replace, which makes it the one that creates."""
    try:
        await client.rename(temporary, path)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if await _lstat(client, path) is None:
            raise
        raise OutputConflictError(f"{path} exists already.") from None


def _tidy_later(client: asyncssh.SFTPClient, folder: str, now: int) -> None:
    """Remove what killed writers left in the folder, once in this process, while others work."""
    place = (id(client), folder)
    if place not in _tidied:
        _tidied[place] = asyncio.get_running_loop().create_task(_tidy(client, folder, now))


async def _tidy(client: asyncssh.SFTPClient, folder: str, now: int) -> None:
    """Best effort; ``now`` is by the server's clock."""
    with suppress(asyncssh.Error, OSError):
        for entry in [entry async for entry in client.scandir(folder)]:
            name, age = str(entry.filename), now - (entry.attrs.mtime or now)
            if is_temporary(name) and age > LEFTOVER_SECONDS:
                await client.remove(f"{folder}/{name}")


async def attributes(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    """What the server knows of a file; ``None`` where there is none."""
    with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory):
        found = await client.stat(path)
        return found if modes.S_ISREG(found.permissions or modes.S_IFREG) else None
    return None


async def _lstat(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return await client.lstat(path)
    return None


async def remove(client: asyncssh.SFTPClient, path: str, if_version: str | None) -> None:
    """Remove a file; see ``Store.delete``."""
    found = await attributes(client, path) if if_version is not None else None
    if found:
        _expect(path, found, if_version)
    with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        await client.remove(path)


async def walk(
    client: asyncssh.SFTPClient, folder: str, watched: Watched, prefix: str = ""
) -> list[tuple[str, asyncssh.SFTPAttrs]]:
    """Every file below a folder, with its name relative to it, in the order that whole names sort in."""
    watched.moved()
    found: list[tuple[str, asyncssh.SFTPAttrs]] = []
    try:
        entries = [entry async for entry in client.scandir(folder)]
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory):
        return found
    for name, attrs in sorted(map(_sortable, entries), key=itemgetter(0)):
        if name.endswith("/") and name not in {"./", "../"}:
            found += await walk(client, f"{folder.rstrip('/')}/{name}", watched, prefix + name)
        elif modes.S_ISREG(attrs.permissions or 0) and not is_temporary(name):
            found.append((prefix + name, attrs))
    return found


def _sortable(entry: asyncssh.SFTPName) -> tuple[str, asyncssh.SFTPAttrs]:
    is_folder = modes.S_ISDIR(entry.attrs.permissions or 0)
    name = str(entry.filename)
    return f"{name}/" if is_folder else name, entry.attrs
