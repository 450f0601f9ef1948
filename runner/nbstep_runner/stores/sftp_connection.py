"""SSH connections to SFTP servers: host keys verified, one for each server and user, shared by all stores.

asyncssh runs in a thread of its own with an event loop; stores hand it coroutines and wait.
"""

from __future__ import annotations

import asyncio
import atexit
import getpass
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, StorageDeniedError
from nbstep_runner.stores.pace import TricklingError
from nbstep_runner.stores.uris import redact

_KNOWN_HOSTS: Final = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
_KEEPALIVE_SECONDS: Final = 10
_BROKEN: Final = (
    asyncssh.DisconnectError,
    asyncssh.SFTPBadMessage,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    OSError,
    TricklingError,
)
"""After one of these a connection is not used again: what was asked for on it may still be on its way.

Time-outs are ``OSError`` too.
"""
_CANCEL_SECONDS: Final = 0.5
_Result = TypeVar("_Result")
Work = Callable[[asyncssh.SFTPClient, "Watched"], Coroutine[Any, Any, _Result]]
"""What is done with a client; it says that it is alive to what watches it."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom a connection is made; equal ones share it."""

    host: str
    port: int | None
    user: str | None
    known_hosts: str | None
    identity_file: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, uri: str, options: StorageOptions) -> Server:
        """The server that a URI names.

        Raises:
            BadInputError: It names none.
        """
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host:
            raise BadInputError(f"{redact(uri)} names no server.", hint="Write sftp://user@host/folder/name.")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(host, port, user, options.known_hosts, options.identity_file, password)

    @property
    def shown(self) -> str:
        """As a person names it."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


class Watched:
    """Work that ends when nothing has moved for some time."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._moved = time.monotonic()

    def moved(self) -> None:
        """Note that bytes have moved, so the idle time starts again."""
        self._moved = time.monotonic()

    async def run(self, work: Awaitable[_Result]) -> _Result:
        """What the work returns.

        Raises:
            TimeoutError: It has stalled.
        """
        task = asyncio.ensure_future(work)
        while (left := self._moved + self._idle - time.monotonic()) > 0:
            if (await asyncio.wait({task}, timeout=left))[0]:
                return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
        raise TimeoutError


class Connections:
    """An event loop in a thread, and the connections that live in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: dict[Server, tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]] = {}
        self._opening: dict[Server, asyncio.Lock] = {}
        self._loop.set_exception_handler(
            lambda *_: None
        )  # what a broken connection leaves behind: the retry tells of it
        logging.getLogger("asyncio").addFilter(_is_news)
        self._thread = Thread(target=self._loop.run_forever, name="nbstep-sftp", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def run(self, server: Server, work: Work[_Result], idle: float) -> _Result:
        """What the work returns, done with a client of that server; a connection that failed is not used again."""
        return asyncio.run_coroutine_threadsafe(self._run(server, work, idle), self._loop).result()

    async def _run(self, server: Server, work: Work[_Result], idle: float) -> _Result:
        async with asyncio.timeout(idle):
            client = await self._client(server, idle)
        watched = Watched(idle)
        try:
            return await watched.run(work(client, watched))
        except _BROKEN:
            self._drop(server, client)
            raise

    async def _client(self, server: Server, idle: float) -> asyncssh.SFTPClient:
        async with self._opening.setdefault(server, asyncio.Lock()):
            if server not in self._open:
                connection = await _connect(server, idle)
                self._open[server] = connection, await connection.start_sftp_client()
            return self._open[server][1]

    def _drop(self, server: Server, client: asyncssh.SFTPClient) -> None:
        known = self._open.get(server)
        if known and known[1] is client:
            del self._open[server]
            known[0].abort()

    def close(self) -> None:
        """End every connection and the thread."""
        if self._loop.is_running():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._close_all(), self._loop).result(timeout=2)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=2)

    async def _close_all(self) -> None:
        for connection, _ in self._open.values():
            connection.abort()
            await connection.wait_closed()
        self._open.clear()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether asyncio says more than that a connection is gone while requests were on their way."""
    return record.getMessage() != "socket.send() raised exception."


@cache
def connections() -> Connections:
    """The connections that this process shares."""
    return Connections()


async def _connect(server: Server, idle: float) -> asyncssh.SSHClientConnection:
    try:
        return await asyncssh.connect(server.host, connect_timeout=idle, login_timeout=idle, **_arguments(server))
    except asyncssh.HostKeyNotVerifiable as error:
        raise await _untrusted(server) from error


def _name_this_user(server: Server) -> None:
    """Give asyncssh the local name and home that it asks for, where containers run as a number that has neither."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        if server.user is None:
            raise BadInputError(
                "The user to log in as is not known.", hint="Write sftp://user@host/folder/name."
            ) from None
        os.environ["LOGNAME"] = server.user
        os.environ.setdefault("HOME", "/")


def _arguments(server: Server) -> dict[str, Any]:
    _name_this_user(server)
    named = {"username": server.user, "port": server.port, "password": server.password}
    arguments: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if server.identity_file:
        _require_file(server.identity_file, "The private key")
        arguments["client_keys"] = [server.identity_file]
    if not os.access(os.path.expanduser("~/.ssh/config"), os.R_OK):  # noqa: PTH111 - Path.home raises where there is none
        arguments["config"] = None
    return {**arguments, "known_hosts": _known_hosts(server), "keepalive_interval": _KEEPALIVE_SECONDS}


def _require_file(name: str, what: str) -> None:
    if not os.access(name, os.R_OK):
        raise StorageDeniedError(f"{what} {name} cannot be read.", hint="Mount it, or name another file.")


def _known_hosts(server: Server) -> asyncssh.SSHKnownHosts:
    """Never ``None``, which would switch the check off."""
    if server.known_hosts:
        _require_file(server.known_hosts, "The file of host keys")
    names = [server.known_hosts] if server.known_hosts else map(os.path.expanduser, _KNOWN_HOSTS)
    return asyncssh.read_known_hosts([name for name in names if os.access(name, os.R_OK)])


async def _untrusted(server: Server) -> StorageDeniedError:
    """The refusal of a host key, with what a person has to compare and where to put it."""
    trusted = _known_hosts(server).match(server.host, server.host, server.port)[0]
    state = "has changed: this may be an attack" if trusted else "is not known"
    file = server.known_hosts or str(Path(_KNOWN_HOSTS[0]))
    try:
        async with asyncio.timeout(5):
            key = await asyncssh.get_server_host_key(server.host, server.port or 22, config=None)
    except (OSError, asyncssh.Error):
        key = None
    if key is None:
        return StorageDeniedError(
            f"The host key of {server.shown} {state}.",
            hint=f"Ask its administrator for the key, and add it to {file} (ssh-keyscan prints it).",
        )
    name = server.host if server.port in {None, 22} else f"[{server.host}]:{server.port}"
    line = f"{name} {key.export_public_key().decode().strip()}"
    return StorageDeniedError(
        f"The host key of {server.shown} {state}: it shows {key.get_fingerprint()}.",
        hint=f"If its administrator confirms that fingerprint, {'replace the old line in' if trusted else 'add to'} "
        f"{file}: {line}",
    )
