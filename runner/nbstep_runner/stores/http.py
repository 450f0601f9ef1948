"""``http://`` and ``https://``: input from any server, output by PUT where a server allows it.

HTTP promises little by itself. What was written is read back and compared, because a server need not check what
arrives; whether it checks conditions is found out, see :mod:`nbstep_runner.stores.conditions`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageDeniedError,
)
from nbstep_runner.stores import content, webdav
from nbstep_runner.stores.conditions import PROBE_BYTES, ConditionalWrite, Conditions, NotSupportedError, expect
from nbstep_runner.stores.http_answers import check_digests, require, time_of, translated, version_of
from nbstep_runner.stores.http_client import Ask, HttpClient, body_of, pieces_of
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier
from nbstep_runner.stores.tries import TransientError, Try
from nbstep_runner.stores.uris import checked, redact

_READ: Final = frozenset({200, 203})
_WRITTEN: Final = frozenset({200, 201, 202, 204})
_LISTED: Final = 207
_NO_FOLDER: Final = frozenset({404, 409, 500})
"""What servers answer to a PUT below a folder that is missing: RFC 4918 says 409, nginx says 500."""
_SERVERS: Final[dict[str, Conditions]] = {}
"""What each server was found to promise, for all stores of this process."""


class HttpStore:
    """Objects of any server."""

    atomic_replace = False

    def __init__(self, uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._origin = _origin(uri)
        self._client = HttpClient(allow_private=options.allow_private_addresses)
        self._retrier = Retrier(options.retry_seconds, translated, on_retry)

    @property
    def conditional_write(self) -> bool:
        """Whether the server that the store was opened for was found to check conditions on writes."""
        return bool(_conditions(self._origin).held)

    def read(self, uri: str) -> Blob:
        """The whole object as one answer holds it, its length checked, and its digest where the server sends one."""
        _object(uri)
        return self._retrier.call(_doing("reading", uri), lambda attempt: self._read(uri, attempt))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place and read it back."""
        _object(uri)
        upload = _Upload.of(uri, data)
        if if_version is None:
            return self._put(upload, {})
        header = _condition(if_version)
        if not header:
            expect(self, uri, if_version)
            return self._put(upload, {})
        return _conditions(_origin(uri)).write(
            ConditionalWrite(
                uri=uri,
                check=lambda: expect(self, uri, if_version),
                send=lambda known: self._put(upload, header if known else {}),
                send_again=lambda: self._once(upload, header),
                can_tell=lambda version: version != if_version and upload.size <= PROBE_BYTES,
            )
        )

    def stat(self, uri: str) -> Stat | None:
        """What the server tells of the object; where it tells too little, the object is read."""
        _object(uri)
        try:
            found = self._retrier.call(_doing("looking at", uri), lambda attempt: self._stat(uri, attempt))
            return found or self._measured(uri)
        except InputNotFoundError:
            return None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the folder, on a server that speaks WebDAV."""
        body = self._retrier.call(_doing("listing", uri), lambda attempt: self._members(uri, attempt))
        for entry in webdav.entries(body, uri) if body else ():
            inner = uri + quote(entry.name)
            if entry.name.endswith("/"):
                yield from self.list(inner)
            elif entry.etag:
                yield Stat(uri=inner, size=entry.size, version=entry.etag, modified=entry.modified)
            elif found := self.stat(inner):
                yield found

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object; a version is checked just before, and by the server where it does."""
        _object(uri)
        if if_version is not None and self.stat(uri) is not None:
            expect(self, uri, if_version)
        headers = _condition(if_version) if if_version else {}
        with suppress(InputNotFoundError):
            ask = Ask(method="DELETE", uri=uri, headers=headers)
            self._retrier.call(_doing("deleting", uri), lambda attempt: self._done(ask, attempt, "deleting"))

    def _read(self, uri: str, attempt: Try) -> Blob:
        with self._client.answer(Ask(method="GET", uri=uri), attempt) as response:
            require(response, _READ, _doing("reading", uri))
            data = body_of(response)
        check_digests(response, data)
        plain = content.decoded(data, response.headers.get("Content-Encoding", ""), redact(uri))
        return Blob(plain, version_of(response) or f"sha256:{hashlib.sha256(data).hexdigest()}")

    def _stat(self, uri: str, attempt: Try) -> Stat | None:
        with self._client.answer(Ask(method="HEAD", uri=uri), attempt) as response:
            if response.status_code in {405, 501}:
                return None
            require(response, _READ, _doing("looking at", uri))
        version, length = version_of(response), response.headers.get("Content-Length", "")
        if not version or not length.isdecimal():
            return None
        return Stat(uri=uri, size=int(length), version=version, modified=time_of(response))

    def _measured(self, uri: str) -> Stat:
        blob = self.read(uri)
        checksum = f"sha256:{hashlib.sha256(blob.data).hexdigest()}"
        return Stat(uri=uri, size=len(blob.data), version=blob.version, checksum=checksum)

    def _members(self, uri: str, attempt: Try) -> bytes:
        ask = Ask(method="PROPFIND", uri=uri, headers={"Depth": "1", "Content-Type": "text/xml"}, body=webdav.PROPFIND)
        with self._client.answer(ask, attempt) as response:
            if response.status_code in {404, 410}:
                return b""
            if response.status_code in {400, 405, 501}:
                raise BadInputError(f"The server of {redact(uri)} does not list.", hint="Use a server with WebDAV.")
            require(response, {_LISTED}, _doing("listing", uri))
            return body_of(response)

    def _put(self, upload: _Upload, condition: dict[str, str]) -> str:
        return self._retrier.call(
            _doing("writing", upload.uri),
            lambda attempt: self._send(upload, condition, attempt),
            recover=lambda error, attempt: self._recovered(error, upload, attempt),
        )

    def _once(self, upload: _Upload, condition: dict[str, str]) -> str:
        doing = _doing("writing", upload.uri)
        return self._retrier.call(doing, lambda attempt: self._send(upload, condition, attempt), seconds=0)

    def _send(self, upload: _Upload, condition: dict[str, str], attempt: Try) -> str:
        headers = {"Content-Type": content.media_type(upload.uri), "Content-MD5": upload.md5, **condition}
        ask = Ask(method="PUT", uri=upload.uri, headers=headers, body=upload.data)
        with self._client.answer(ask, attempt) as response:
            status, version = response.status_code, version_of(response)
        if status == 501 and condition:
            raise NotSupportedError
        if status in _NO_FOLDER and self._make_folders(upload.uri, attempt):
            version = self._done(ask, attempt, "writing")
        else:
            require(response, _WRITTEN, _doing("writing", upload.uri))
        return self._confirmed(upload, attempt) or version or f"sha256:{upload.sha256}"

    def _confirmed(self, upload: _Upload, attempt: Try) -> str | None:
        """The version that is read back; nothing where the URI may only be written, as signed ones may."""
        try:
            sha256, version = self._digested(upload.uri, attempt)
        except (StorageDeniedError, InputNotFoundError):
            return None
        if sha256 != upload.sha256:
            raise TransientError("other bytes are in place than were sent")
        return version

    def _digested(self, uri: str, attempt: Try) -> tuple[str, str | None]:
        """The SHA-256 of what is in place, and its version; no copy of it is held."""
        digest = hashlib.sha256()
        with self._client.answer(Ask(method="GET", uri=uri), attempt) as response:
            require(response, _READ, _doing("reading", uri))
            if response.headers.get("Content-Encoding", "identity") != "identity":
                digest.update(content.decoded(body_of(response), response.headers["Content-Encoding"], redact(uri)))
            else:
                for piece in pieces_of(response):
                    digest.update(piece)
        return digest.hexdigest(), version_of(response)

    def _make_folders(self, uri: str, attempt: Try) -> bool:
        """Make what is missing above a WebDAV resource; whether anything was made."""
        made = False
        for folder in webdav.parents(urlsplit(uri).path):
            with self._client.answer(Ask(method="MKCOL", uri=_origin(uri) + folder), attempt) as response:
                made = made or response.status_code == 201
        return made

    def _done(self, ask: Ask, attempt: Try, operation: str) -> str | None:
        with self._client.answer(ask, attempt) as response:
            require(response, _WRITTEN, _doing(operation, ask.uri))
        return version_of(response)

    def _recovered(self, error: Exception, upload: _Upload, attempt: Try) -> str:
        """The version, if an earlier try wrote the object and only its answer was lost; else the error is raised."""
        if isinstance(error, OutputConflictError) and attempt.number > 1:
            with suppress(NbstepError):
                found = self.read(upload.uri)
                if hashlib.sha256(found.data).hexdigest() == upload.sha256:
                    return found.version
        raise error


@dataclass(frozen=True, slots=True)
class _Upload:
    """What is being written, with what has to come back."""

    uri: str
    data: Source
    size: int
    sha256: str
    md5: str

    @classmethod
    def of(cls, uri: str, data: Source) -> _Upload:
        md5 = content.digested(data, hashlib.md5(usedforsecurity=False)).digest()
        sha256 = content.digested(data, hashlib.sha256()).hexdigest()
        return cls(uri, data, content.size_of(data), sha256, base64.b64encode(md5).decode())


def _doing(operation: str, uri: str) -> str:
    return f"{operation} {redact(uri)}"


def _origin(uri: str) -> str:
    """Scheme, credentials, host and port."""
    parts = urlsplit(checked(uri))
    return f"{parts.scheme.lower()}://{parts.netloc}"


def _object(uri: str) -> None:
    if urlsplit(checked(uri)).path.endswith("/") or not urlsplit(uri).path:
        raise BadInputError(f"{redact(uri)} names no object.", hint="Write https://host/folder/name.")


def _conditions(origin: str) -> Conditions:
    return _SERVERS.setdefault(origin, Conditions())


def _condition(version: str) -> dict[str, str]:
    """The header for a version; none for one that is not a strong entity tag."""
    if version == ABSENT:
        return {"If-None-Match": "*"}
    return {"If-Match": version} if version.startswith('"') else {}


def open_backend(uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> HttpStore:
    """A store whose flag speaks of the URI's server."""
    return HttpStore(uri, options, on_retry)
