"""``sftp://``: files on an SSH server.

Creating is exclusive where the server has hard links, or a rename that refuses to replace as the protocol demands.
Replacing at a version is checked just before the rename, which is best effort: another writer can come between.
``conditional_write`` promises neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

import asyncssh

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import content, sftp_files, sftp_writing
from nbstep_runner.stores.protocol import Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.sftp_connection import Server, Watched, Work, connections
from nbstep_runner.stores.uris import checked, redact

_Result = TypeVar("_Result")
_MISSING: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
_DENIED: Final = (
    asyncssh.PermissionDenied,
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPWriteProtect,
    asyncssh.KeyImportError,
    asyncssh.KeyEncryptionError,
)
_PASSING: Final = (
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.SFTPBadMessage,
    OSError,
)


class SftpStore:
    """Files of any server that the keys at hand open."""

    conditional_write = False
    verified = True

    def __init__(self, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._options = options
        self._retrier = Retrier(options.retry_seconds, _translated, on_retry)
        self._at_once: bool | None = None

    @property
    def atomic_replace(self) -> bool:
        """Whether the servers that were met replace a file in one step; this store's own readers meet no gap anyway."""
        return bool(self._at_once)

    def read(self, uri: str) -> Blob:
        """The whole file, pinned by its handle; the connection proves its bytes."""
        path = _path(uri)
        data, version = self._call("reading", uri, lambda client, watched: sftp_files.read(client, path, watched))
        return Blob(data, version)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the file in place by a rename, synchronised to the server's disk where it knows how."""
        path, upload = _path(uri), content.Upload(uri, data)
        content.size_of(data)  # a local file that is missing is no failure of the network
        put = self._on(uri, lambda client, watched: sftp_writing.write(client, path, data, if_version, watched))
        return self._retrier.write(uri, put, lambda: self._find(upload))

    def stat(self, uri: str) -> Stat | None:
        path = _path(uri)
        found = self._call("checking", uri, lambda client, _: sftp_files.attributes(client, path))
        return _described(uri, found) if found else None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every file below the folder; symbolic links are left out."""
        path = _path(uri)
        found = self._call("listing", uri, lambda client, watched: sftp_files.walk(client, path, watched))
        return (_described(uri + quote(name), attributes) for name, attributes in found)

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the file; a version is checked just before."""
        path = _path(uri)
        self._call("deleting", uri, lambda client, _: sftp_files.remove(client, path, if_version))

    def check_output(self, uri: str) -> None:
        """Refuse what could not be replaced at the end; see :func:`nbstep_runner.stores.check_output`."""
        path = _path(uri)
        self._call("checking", uri, lambda client, _: sftp_writing.check_place(client, path))

    def _find(self, upload: content.Upload) -> str | None:
        """The version of what is in place, if it holds these bytes."""
        found = self.read(upload.uri)
        return found.version if hashlib.sha256(found.data).hexdigest() == upload.sha256 else None

    def _call(self, operation: str, uri: str, work: Work[_Result]) -> _Result:
        return self._retrier.call(operation, uri, self._on(uri, work))

    def _on(self, uri: str, work: Work[_Result]) -> Callable[[Try], _Result]:
        """Work with a client of the URI's server, as one try."""
        server = Server.of(checked(uri), self._options)

        def met(client: asyncssh.SFTPClient, watched: Watched) -> Coroutine[Any, Any, _Result]:
            self._at_once = self._at_once is not False and sftp_files.replaces_at_once(client)
            return work(client, watched)

        return lambda attempt: connections().run(server, met, attempt.idle)


def _path(uri: str) -> str:
    """The file's path on the server: absolute, or below the user's home after ``/~/``."""
    path = unquote(urlsplit(checked(uri), allow_fragments=False).path)
    if "?" in uri:
        raise BadInputError(f"{redact(uri)} holds a '?'.", hint="Write it as %3F in the name of a file.")
    if path.strip("/") in {"", "~"} and not uri.endswith("/"):
        raise BadInputError(f"{redact(uri)} names no file.", hint="Write sftp://user@host/folder/name.")
    return path.removeprefix("/~/") or "." if path.startswith("/~/") else path


def _described(uri: str, found: asyncssh.SFTPAttrs) -> Stat:
    return Stat(uri=uri, size=found.size or 0, version=sftp_files.version_of(found), modified=found.mtime)


def _translated(error: Exception, doing: str) -> Exception:
    operation, _, uri = doing.partition(" ")
    reason = getattr(error, "reason", "") or str(error)
    if isinstance(error, _MISSING):
        return InputNotFoundError(f"There is no {uri}.", context=doing)
    if isinstance(error, _DENIED):
        return StorageDeniedError(
            f"The server does not allow {operation} {uri}: {reason}.",
            hint="Check the user, the key that the run was given, and the permissions of the folder.",
            context=doing,
        )
    if isinstance(error, TimeoutError):
        return TransientError("the transfer stalled")
    if isinstance(error, _PASSING) or (isinstance(error, asyncssh.SFTPFailure) and operation == "reading"):
        return TransientError(f"{type(error).__name__}: {reason}"[:200])  # some fail a read when the file is replaced
    if isinstance(error, asyncssh.SFTPError):
        hint = "A full disk or a quota is the usual cause; the old object is still in place."
        return StorageUnavailableError(f"The server failed {operation} {uri}: {reason}.", hint=hint, context=doing)
    return error


def open_backend(_uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> SftpStore:
    """A store; connections are made when they are first needed, and shared."""
    return SftpStore(options, on_retry)
