"""Files put on an SFTP server, whole: written under a temporary name, read back, put in place.

Where the server offers them, the extensions of OpenSSH are used
(https://github.com/openssh/openssh-portable/blob/master/PROTOCOL): ``fsync``, ``posix-rename`` to replace in one step,
``hardlink`` to create what is not there.
"""

from __future__ import annotations

import asyncio
import secrets
import stat as modes
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final

import asyncssh

from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import content
from nbstep_runner.stores.atomicfile import LEFTOVER_SECONDS, TEMP_PREFIX, TEMP_SUFFIX, is_temporary, refuse_special
from nbstep_runner.stores.protocol import ABSENT, Source
from nbstep_runner.stores.retrying import TransientError
from nbstep_runner.stores.sftp_connection import Watched
from nbstep_runner.stores.sftp_files import GONE, aside, expect, lstat, version_of

_AT_ONCE: Final = 64
_tidied: Final[dict[tuple[int, str], asyncio.Task[None]]] = {}
"""The folders that leftovers are being removed from, or were; an event loop keeps no reference to its tasks."""


async def write(client: asyncssh.SFTPClient, path: str, data: Source, if_version: str | None, watched: Watched) -> str:
    """Put a file in place and return its version; see ``Store.write``."""
    temporary = _temporary(path)
    try:
        return await _write(client, path, temporary, data, if_version, watched)
    except (asyncssh.SFTPError, NbstepError, TransientError):
        with suppress(asyncssh.Error, OSError):
            await client.remove(temporary)
        raise


async def _write(
    client: asyncssh.SFTPClient, path: str, temporary: str, data: Source, if_version: str | None, watched: Watched
) -> str:
    old = await lstat(client, path)
    _check(path, old, if_version)
    async with await _created(client, temporary) as file:
        await _send(file, data, client.limits.max_write_len, watched)
        with suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()
    await _confirm(client, temporary, data, watched)
    new = await client.stat(temporary)  # some servers set the time when they close the file
    now = new.mtime or 0
    new.mtime = await _told_apart(client, temporary, old, new)
    await _place(client, temporary, path, if_version)
    _tidy_later(client, path.rpartition("/")[0] or ".", now)
    return version_of(new)


async def _confirm(client: asyncssh.SFTPClient, path: str, data: Source, watched: Watched) -> None:
    """Compare what the server kept with what was sent; the connection proves the way, not the disk."""
    size = content.size_of(data)
    wrong = TransientError("the server kept other bytes than were sent")
    if (await client.stat(path)).size != size:
        raise wrong
    async with client.open(path, "rb", encoding=None) as file:
        with content.opened(data) as stream:
            async for offset, piece in await file.read_parallel(size, 0):
                watched.moved()
                stream.seek(offset)
                if stream.read(len(piece)) != piece:
                    raise wrong


def _temporary(path: str) -> str:
    return f"{path.rpartition('/')[0] or '.'}/{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}"


def _check(path: str, old: asyncssh.SFTPAttrs | None, if_version: str | None) -> None:
    mode = old.permissions or modes.S_IFREG if old else modes.S_IFREG
    refuse_special(path, is_link=modes.S_ISLNK(mode), is_file=modes.S_ISREG(mode))
    expect(path, old, if_version)


async def _created(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPClientFile:
    """A new file; missing folders above it are made."""
    try:
        return await client.open(path, "wb", encoding=None)
    except GONE:
        await _make_folders(client, path.rpartition("/")[0])
        return await client.open(path, "wb", encoding=None)


async def _make_folders(client: asyncssh.SFTPClient, folder: str) -> None:
    try:
        await client.makedirs(folder, exist_ok=True)
    except asyncssh.SFTPFailure as error:
        raise BadInputError(f"The folder {folder} cannot be made: {error.reason}.", hint="Name another.") from error
    except GONE as error:  # one above it could not be made either
        raise StorageDeniedError(f"The server does not allow making the folder {folder}.") from error


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
        expect(path, await lstat(client, path), if_version)
    try:
        await client.posix_rename(temporary, path)
    except asyncssh.SFTPOpUnsupported:
        await _replace(client, temporary, path)


async def _replace(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """Give a file its name where the rename does not replace: the old one is aside meanwhile."""
    old = aside(path)
    try:
        if await _exists(client, path):
            with suppress(*GONE):
                await client.remove(old)
            await client.rename(path, old)
        await client.rename(temporary, path)
    except (*GONE, asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists) as error:
        raise TransientError("another writer replaced the file at the same moment") from error
    with suppress(*GONE):
        await client.remove(old)


async def _create(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """A hard link never replaces; the rename of the protocol must not, but on some servers it does."""
    try:
        await client.link(temporary, path)
    except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if await _exists(client, path):
            raise OutputConflictError(f"{path} exists already.") from None
        await _rename(client, temporary, path)
    else:
        await client.remove(temporary)


async def _rename(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    try:
        await client.rename(temporary, path)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if not await _exists(client, path):
            raise
        raise OutputConflictError(f"{path} exists already.") from None


async def _exists(client: asyncssh.SFTPClient, path: str) -> bool:
    with suppress(*GONE):
        await client.lstat(path)
        return True
    return False


async def check_place(client: asyncssh.SFTPClient, path: str) -> None:
    """See that a file can take a name, where that takes more than a folder that may be written.

    Raises:
        BadInputError: A folder, a device or a link has the name.
        StorageDeniedError: A file of another user has it, in a folder where only its owner may replace it.
    """
    old, folder = await lstat(client, path), path.rpartition("/")[0] or "."
    _check(path, old, None)
    if old is None or not modes.S_ISVTX & ((await client.stat(folder)).permissions or 0):
        return
    temporary = _temporary(path)
    await (await client.open(temporary, "wb", encoding=None)).close()
    own = (await client.stat(temporary)).uid
    await client.remove(temporary)
    if own not in {0, old.uid, (await client.stat(folder)).uid}:
        raise StorageDeniedError(f"{path} is another user's, and only its owner may replace it in {folder}.")


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
