"""Files on an SFTP server: found, read in parallel, listed, removed.

Requests are sent without waiting for the answers of those before, so that a transfer takes the time of its bytes and
not of a round trip for each block. Where a server does not rename over a file in one step, the old file is renamed
aside before the new one takes its name, and readers and the next writer find it there.
"""

from __future__ import annotations

import asyncio
import stat as modes
from collections.abc import Awaitable, Callable
from contextlib import suppress
from operator import itemgetter
from typing import Final, TypeVar

import asyncssh

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import content
from nbstep_runner.stores.atomicfile import TEMP_PREFIX, is_temporary
from nbstep_runner.stores.conditions import changed
from nbstep_runner.stores.pace import Pace
from nbstep_runner.stores.protocol import ABSENT
from nbstep_runner.stores.retrying import TransientError
from nbstep_runner.stores.sftp_connection import Watched

GONE: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_FOLDERS_AT_ONCE: Final = 64
_ASIDE: Final = ".old"
_LOOKS: Final = (0.0, 0.01, 0.05)
"""Seconds before each look for a file on a server that has moments without it; such a moment is a few requests long."""
_Result = TypeVar("_Result")


def version_of(attributes: asyncssh.SFTPAttrs) -> str:
    """From time and size; writing sees to it that a new object never has the version of the one before."""
    return f"{attributes.mtime or 0:x}-{attributes.size or 0:x}"


def expect(path: str, found: asyncssh.SFTPAttrs | None, if_version: str | None) -> None:
    """Refuse what was found where it is not at the version that a condition names.

    Raises:
        OutputConflictError: It is at another, or is not there.
    """
    if if_version is not None and (version_of(found) if found else ABSENT) != if_version:
        raise changed(path)


def replaces_at_once(client: asyncssh.SFTPClient) -> bool:
    """Whether the server renames over a file in one step.

    Only OpenSSH's ``posix-rename`` is taken for one: other servers offer it over a tree that they keep in memory
    (rclone), and answer for a moment that nothing is there.
    """
    handler = client._handler  # noqa: SLF001 - asyncssh tells of extensions and of the server nowhere else
    reader = handler._reader  # noqa: SLF001 - as above
    calls_itself = str(reader.get_extra_info("server_version")) if reader else ""
    return bool(handler._supports_posix_rename) and "OpenSSH" in calls_itself  # noqa: SLF001 - as above


def aside(path: str) -> str:
    """Where the old file is while a new one takes its name; a killed writer leaves it there."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{TEMP_PREFIX}{name}{_ASIDE}"


async def _either(client: asyncssh.SFTPClient, path: str, action: Callable[[str], Awaitable[_Result]]) -> _Result:
    """What an action finds at a file's name, or aside while it is replaced."""
    if not replaces_at_once(client):
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            for name in (path, aside(path)):
                with suppress(*GONE):
                    return await action(name)
    return await action(path)


async def read(client: asyncssh.SFTPClient, path: str, watched: Watched) -> tuple[bytes, str]:
    """All bytes of a file and its version; the handle pins the file even if another takes its name."""
    async with await _either(client, path, lambda name: client.open(name, "rb", encoding=None)) as file:
        before = await file.stat()
        size = before.size or 0
        if not modes.S_ISREG(before.permissions or modes.S_IFREG):
            raise BadInputError("A folder or a device is no object.", hint="Name a file.")
        if size > content.READ_LIMIT:
            raise BadInputError(f"The object is larger than {content.READ_LIMIT // 2**30} GiB.")
        data, received, pace = bytearray(size), 0, Pace()
        async for offset, piece in await file.read_parallel(size, 0):
            watched.moved()
            pace.arrived(len(piece))
            data[offset : offset + len(piece)] = piece
            received += len(piece)
        if received != size or version_of(await file.stat()) != version_of(before):
            raise TransientError("the file changed while it was read")
    return bytes(data), version_of(before)


async def attributes(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    """What the server knows of a file; ``None`` where there is none."""
    with suppress(*GONE, asyncssh.SFTPNotADirectory):
        found = await _either(client, path, client.stat)
        return found if modes.S_ISREG(found.permissions or modes.S_IFREG) else None
    return None


async def lstat(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    """What has a file's name, be it a link or a folder; ``None`` where nothing has."""
    with suppress(*GONE):
        return await _either(client, path, client.lstat)
    return None


async def remove(client: asyncssh.SFTPClient, path: str, if_version: str | None) -> None:
    """Remove a file; see ``Store.delete``."""
    found = await attributes(client, path) if if_version is not None else None
    if found:
        expect(path, found, if_version)
    for name in (path,) if replaces_at_once(client) else (aside(path), path):
        with suppress(*GONE):
            await client.remove(name)


async def walk(client: asyncssh.SFTPClient, folder: str, watched: Watched) -> list[tuple[str, asyncssh.SFTPAttrs]]:
    """Every file below a folder, with its name relative to it, in the order that whole names sort in."""
    at_once = asyncio.Semaphore(_FOLDERS_AT_ONCE)

    async def below(folder: str, prefix: str) -> list[tuple[str, asyncssh.SFTPAttrs]]:
        watched.moved()
        try:
            async with at_once:
                entries = [entry async for entry in client.scandir(folder)]
        except (*GONE, asyncssh.SFTPNotADirectory):
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
