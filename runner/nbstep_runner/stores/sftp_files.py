"""Files on an SFTP server, whole: read in parallel, written under a temporary name, read back, put in place.

Requests are sent without waiting for the answers of those before, so that a transfer takes the time of its bytes and
not of a round trip for each block. Where the server offers them, the extensions of OpenSSH are used
(https://github.com/openssh/openssh-portable/blob/master/PROTOCOL): ``fsync``, ``posix-rename`` to replace in one step,
``hardlink`` to create what is not there. Without ``posix-rename`` the old file is renamed aside before the new one
takes its name, and readers and the next writer find it there. Only OpenSSH's ``posix-rename`` is taken for one step:
other servers offer it over a tree that they keep in memory (rclone), and answer for a moment that nothing is there.
"""

from __future__ import annotations

import asyncio
import secrets
import stat as modes
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import BinaryIO, Final, TypeVar

import asyncssh

from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import content
from nbstep_runner.stores.atomicfile import LEFTOVER_SECONDS, TEMP_PREFIX, TEMP_SUFFIX, is_temporary
from nbstep_runner.stores.protocol import ABSENT, Source
from nbstep_runner.stores.retrying import TransientError
from nbstep_runner.stores.sftp_connection import Watched

_AT_ONCE: Final = 64
_FOLDERS_AT_ONCE: Final = 64
_ASIDE: Final = ".old"
_LOOKS: Final = (0.0, 0.01, 0.05)
"""Seconds before each look for a file on a server that has moments without it; such a moment is a few requests long."""
_GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_Result = TypeVar("_Result")
_tidied: Final[dict[tuple[int, str], asyncio.Task[None]]] = {}
"""The folders that leftovers are being removed from, or were; an event loop keeps no reference to its tasks."""


def version_of(attributes: asyncssh.SFTPAttrs) -> str:
    """From time and size; :func:`write` sees to it that a new object never has the version of the one before."""
    return f"{attributes.mtime or 0:x}-{attributes.size or 0:x}"


async def read(client: asyncssh.SFTPClient, path: str, watched: Watched) -> tuple[bytes, str]:
    """All bytes of a file and its version; the handle pins the file even if another takes its name."""
    async with await _either(client, path, lambda name: client.open(name, "rb", encoding=None)) as file:
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
    old = await _lstat(client, path)
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
    except _GONE:
        await _make_folders(client, path.rpartition("/")[0])
        return await client.open(path, "wb", encoding=None)


async def _make_folders(client: asyncssh.SFTPClient, folder: str) -> None:
    try:
        await client.makedirs(folder, exist_ok=True)
    except asyncssh.SFTPFailure as error:
        raise BadInputError(f"The folder {folder} cannot be made: {error.reason}.", hint="Name another.") from error
    except _GONE as error:  # one above it could not be made either
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
        _expect(path, await _lstat(client, path), if_version)
    try:
        await client.posix_rename(temporary, path)
    except asyncssh.SFTPOpUnsupported:
        await _replace(client, temporary, path)


async def _replace(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """Give a file its name where the rename does not replace: the old one is aside meanwhile."""
    aside = _aside(path)
    try:
        if await _exists(client, path):
            with suppress(*_GONE):
                await client.remove(aside)
            await client.rename(path, aside)
        await client.rename(temporary, path)
    except (*_GONE, asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists) as error:
        raise TransientError("another writer replaced the file at the same moment") from error
    with suppress(*_GONE):
        await client.remove(aside)


def _aside(path: str) -> str:
    """Where the old file is while a new one takes its name; a killed writer leaves it there."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{TEMP_PREFIX}{name}{_ASIDE}"


async def _either(client: asyncssh.SFTPClient, path: str, action: Callable[[str], Awaitable[_Result]]) -> _Result:
    """What an action finds at a file's name, or aside while it is replaced."""
    if not replaces_at_once(client):
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            for name in (path, _aside(path)):
                with suppress(*_GONE):
                    return await action(name)
    return await action(path)


def replaces_at_once(client: asyncssh.SFTPClient) -> bool:
    """Whether the server renames over a file in one step."""
    handler = client._handler  # noqa: SLF001 - asyncssh tells of extensions and of the server nowhere else
    reader = handler._reader  # noqa: SLF001 - as above
    calls_itself = str(reader.get_extra_info("server_version")) if reader else ""
    return bool(handler._supports_posix_rename) and "OpenSSH" in calls_itself  # noqa: SLF001 - as above


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
    with suppress(*_GONE):
        await client.lstat(path)
        return True
    return False


async def check_place(client: asyncssh.SFTPClient, path: str) -> None:
    """See that a file can take a name, where that takes more than a folder that may be written.

    Raises:
        BadInputError: A folder, a device or a link has the name.
        StorageDeniedError: A file of another user has it, in a folder where only its owner may replace it.
    """
    old, folder = await _lstat(client, path), path.rpartition("/")[0] or "."
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


async def attributes(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    """What the server knows of a file; ``None`` where there is none."""
    with suppress(*_GONE, asyncssh.SFTPNotADirectory):
        found = await _either(client, path, client.stat)
        return found if modes.S_ISREG(found.permissions or modes.S_IFREG) else None
    return None


async def _lstat(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    with suppress(*_GONE):
        return await _either(client, path, client.lstat)
    return None


async def remove(client: asyncssh.SFTPClient, path: str, if_version: str | None) -> None:
    """Remove a file; see ``Store.delete``."""
    found = await attributes(client, path) if if_version is not None else None
    if found:
        _expect(path, found, if_version)
    for name in (path,) if replaces_at_once(client) else (_aside(path), path):
        with suppress(*_GONE):
            await client.remove(name)


async def walk(client: asyncssh.SFTPClient, folder: str, watched: Watched) -> list[tuple[str, asyncssh.SFTPAttrs]]:
    """Every file below a folder, with its name relative to it, in the order that whole names sort in."""
    at_once = asyncio.Semaphore(_FOLDERS_AT_ONCE)

    async def below(folder: str, prefix: str) -> list[tuple[str, asyncssh.SFTPAttrs]]:
        watched.moved()
        try:
            async with at_once:
                entries = [entry async for entry in client.scandir(folder)]
        except (*_GONE, asyncssh.SFTPNotADirectory):
            return []
        named = dict(map(_sortable, entries))
        for name in [name for name in named if name.startswith(TEMP_PREFIX) and name.endswith(_ASIDE)]:
            named.setdefault(name.removeprefix(TEMP_PREFIX).removesuffix(_ASIDE), named.pop(name))
        folders = [name for name in named if name.endswith("/") and name not in {"./", "../"}]
        inner = await asyncio.gather(*(below(f"{folder.rstrip('/')}/{name}", prefix + name) for name in folders))
        files = [
            (prefix + name, attrs)
            for name, attrs in named.items()
            if modes.S_ISREG(attrs.permissions or 0) and not is_temporary(name)
        ]
        return [*files, *(found for each in inner for found in each)]

    return sorted(await below(folder, ""), key=itemgetter(0))


def _sortable(entry: asyncssh.SFTPName) -> tuple[str, asyncssh.SFTPAttrs]:
    is_folder = modes.S_ISDIR(entry.attrs.permissions or 0)
    name = str(entry.filename)
    return f"{name}/" if is_folder else name, entry.attrs
