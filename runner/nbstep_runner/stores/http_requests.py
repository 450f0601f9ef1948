"""The requests of HTTP and WebDAV that a store is made of: each is one try, and raises what its answer means."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from nbstep_runner.errors import BadInputError, InputNotFoundError, StorageDeniedError
from nbstep_runner.stores import content, webdav
from nbstep_runner.stores.conditions import NotSupportedError, changed
from nbstep_runner.stores.content import Upload
from nbstep_runner.stores.http_answers import check_digests, require, time_of, version_of
from nbstep_runner.stores.http_client import Ask, HttpClient, body_of, pieces_of
from nbstep_runner.stores.protocol import ABSENT, Blob
from nbstep_runner.stores.retrying import TransientError, Try
from nbstep_runner.stores.statuses import explained
from nbstep_runner.stores.uris import redact

DIGEST: Final = "sha256:"
"""What a version begins with that is made of the bytes, where the server has no strong entity tag."""
_READ: Final = frozenset({200, 203})
_WRITTEN: Final = frozenset({200, 201, 202, 204})
_LISTED: Final = frozenset({207})
_NO_FOLDER: Final = frozenset({400, 403, 404, 409, 500})
"""What servers answer to a PUT below a folder that is missing (nginx: 500), or below an object (Apache: 400)."""
_MISSING: Final = frozenset({404, 409})
"""Of these, what says that the folder is missing and nothing else (RFC 4918, 9.7.1: 409)."""
_DENIED: Final = frozenset({401, 403})
_FOLDER_TRIES: Final = 4
"""How often an object is sent while others make its folder, or remove it, at the same moment."""
_FOLDER_GONE: Final = "the folder was removed meanwhile"
_CANNOT_MOVE: Final = frozenset({403, 405, 501})
_DENIED_TRIES: Final = 3
"""A move is denied for good at this try: before that another writer's may have taken the name at that moment."""
_FOREIGN: Final = frozenset({400, 502})
"""What servers answer to a target that seems to be another server's: nginx, and Go's library."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a server tells of an object beside its bytes.

    Attributes:
        version: A strong one; ``None`` where there is none.
        size: Bytes.
        modified: Seconds since the epoch.
    """

    version: str | None = None
    size: int = 0
    modified: float | None = None


class Requests:
    """To any number of servers."""

    def __init__(self, *, allow_private: bool) -> None:
        self._client = HttpClient(allow_private=allow_private)

    def get(self, uri: str, attempt: Try) -> Blob:
        """The whole object; its version is a digest where the server has no strong one."""
        with self._client.answer(Ask(method="GET", uri=uri), attempt) as response:
            require(response, _READ, doing("reading", uri))
            data = body_of(response)
        check_digests(response, data)
        plain = content.decoded(data, response.headers.get("Content-Encoding", ""), redact(uri))
        return Blob(plain, version_of(response) or digest_of(plain))

    def digest(self, uri: str, attempt: Try) -> tuple[str, str]:
        """The SHA-256 of what is in place, as a version, and its version; no copy of it is held."""
        digest = hashlib.sha256()
        with self._client.answer(Ask(method="GET", uri=uri), attempt) as response:
            require(response, _READ, doing("reading", uri))
            if response.headers.get("Content-Encoding", "identity") != "identity":
                digest.update(content.decoded(body_of(response), response.headers["Content-Encoding"], redact(uri)))
            else:
                for piece in pieces_of(response):
                    digest.update(piece)
        named = f"{DIGEST}{digest.hexdigest()}"
        return named, version_of(response) or named

    def head(self, uri: str, attempt: Try) -> Head:
        """What the server tells without sending the object; a version only together with the size."""
        with self._client.answer(Ask(method="HEAD", uri=uri), attempt) as response:
            if response.status_code in {405, 501}:
                return Head()
            require(response, _READ, doing("checking", uri))
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            return Head(modified=time_of(response))
        return Head(version=version_of(response), size=int(length), modified=time_of(response))

    def put(
        self, upload: Upload, uri: str, condition: Mapping[str, str], attempt: Try, held: Callable[[], None] | None
    ) -> str | None:
        """Write the bytes at a name, making missing folders; the version, where the answer tells one."""
        headers = {
            "Content-Type": content.media_type(upload.uri),
            "Content-MD5": content.as_header(upload.md5),
            **condition,
        }
        ask = Ask(method="PUT", uri=uri, headers=headers, body=upload.data, held=held)
        for _ in range(_FOLDER_TRIES):
            with self._client.answer(ask, attempt) as response:
                status = response.status_code
                if status == 501 and condition:
                    raise NotSupportedError
                if status not in _NO_FOLDER or not (self._make_folders(uri, status, attempt) or status == 409):
                    require(response, _WRITTEN, doing("writing", upload.uri))
                    return version_of(response)
            ask = replace(ask, held=None)
        if condition:
            raise changed(upload.uri)
        raise TransientError(_FOLDER_GONE)

    def expect(self, uri: str, version: str, attempt: Try) -> None:
        """Compare an object's version now with the expected one.

        Raises:
            OutputConflictError: They differ.
        """
        try:
            if version.startswith(DIGEST):
                found = self.digest(uri, attempt)[0]
            else:
                found = self.head(uri, attempt).version or self.get(uri, attempt).version
        except InputNotFoundError:
            found = ABSENT
        if found != version:
            raise changed(uri)

    def confirm(self, upload: Upload, uri: str, attempt: Try) -> str | None:
        """Read back what was written; its version, or nothing where the place may only be written.

        Raises:
            TransientError: Other bytes are there.
        """
        try:
            found, version = self.digest(uri, attempt)
        except (StorageDeniedError, InputNotFoundError):
            return None
        if found != f"{DIGEST}{upload.sha256}":
            raise TransientError("other bytes are in place than were sent")
        return version

    def move(self, temporary: str, uri: str, if_version: str | None, attempt: Try) -> bool:
        """Give an object its final name in place of what has it; ``False`` where the server cannot.

        An entity tag goes along as a condition on the target, which some servers check and others never find true: the
        caller has compared the version just before, and tells them apart by comparing it again.
        """
        parts = urlsplit(uri)
        whole = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        for target in (whole, parts.path):  # behind a proxy a server may know itself by another scheme and host
            headers = {"Destination": target, "Overwrite": "F" if if_version == ABSENT else "T"}
            if if_version and if_version.startswith('"'):
                headers["If"] = f"<{target}> ([{if_version}])"
            with self._client.answer(Ask(method="MOVE", uri=temporary, headers=headers), attempt) as response:
                status = response.status_code
                if status in _MISSING or (status == 403 and attempt.number < _DENIED_TRIES):
                    raise TransientError(f"another writer was in the way of the move ({status})")
                if status in _CANNOT_MOVE:
                    return False
                if status not in _FOREIGN or target != whole:
                    require(response, _WRITTEN, doing("writing", uri))
                    break
        return True

    def delete(self, uri: str, condition: Mapping[str, str], attempt: Try) -> None:
        """Remove the object."""
        with self._client.answer(Ask(method="DELETE", uri=uri, headers=condition), attempt) as response:
            require(response, _WRITTEN, doing("deleting", uri))

    def speaks_webdav(self, uri: str, attempt: Try) -> bool:
        """Whether objects of this place can be renamed and listed."""
        with self._client.answer(Ask(method="OPTIONS", uri=uri), attempt) as response:
            meaning = explained(response.status_code, doing("asking", uri))
            if isinstance(meaning, TransientError):
                raise meaning
            return "DAV" in response.headers

    def properties(self, uri: str, attempt: Try, *, members: bool = False) -> bytes | None:
        """The multi-status answer on an object or folder, or on a folder and its members; nothing where it is missing.

        Raises:
            NotSupportedError: The server does not speak WebDAV.
        """
        headers = {"Depth": "1" if members else "0", "Content-Type": "text/xml"}
        ask = Ask(method="PROPFIND", uri=uri, headers=headers, body=webdav.PROPFIND)
        with self._client.answer(ask, attempt) as response:
            if response.status_code in {404, 410}:
                return None
            if response.status_code in {400, 405, 501}:
                raise NotSupportedError
            require(response, _LISTED, doing("listing", uri))
            return body_of(response)

    def refuse_folder(self, uri: str, attempt: Try) -> None:
        """See that no folder has an object's name: ``MOVE`` would replace it with all that it holds.

        Raises:
            BadInputError: One has.
        """
        if self._is_folder(uri, attempt):
            raise BadInputError(f"{redact(uri)} is a folder, not an object.", hint="Name an object as the output.")

    def _is_folder(self, uri: str, attempt: Try) -> bool | None:
        """``None`` where nothing is, or the server does not say."""
        with suppress(NotSupportedError, StorageDeniedError):
            found = self.properties(uri, attempt)
            return None if found is None else webdav.is_folder(found)
        return None

    def _make_folders(self, uri: str, status: int, attempt: Try) -> bool:
        """Make what is missing above an object, whose PUT was answered with a status; whether anything was made.

        Raises:
            BadInputError: One of the names is an object's.
            StorageDeniedError: The folder is missing, and may not be made.
        """
        made, answered, folder = False, 0, ""
        for path in webdav.parents(urlsplit(uri).path):
            folder = urlsplit(uri)._replace(path=path).geturl()
            with self._client.answer(Ask(method="MKCOL", uri=folder), attempt) as response:
                answered = response.status_code
            made = made or answered == 201
            exists = answered in {400, 405}  # Apache: 400 for an object's name with a slash after it
            if exists and self._is_folder(folder.rstrip("/"), attempt) is False:
                raise BadInputError(f"{redact(folder.rstrip('/'))} is an object, where a folder should be.")
        if status in _MISSING and answered in _DENIED:
            if self._is_folder(folder, attempt):  # Apache denies one that another makes at that moment
                return True
            raise explained(answered, doing("making the folder of", uri))
        return made


def condition_of(version: str) -> dict[str, str]:
    """The header for a version; none for one that is not a strong entity tag."""
    if version == ABSENT:
        return {"If-None-Match": "*"}
    return {"If-Match": version} if version.startswith('"') else {}


def doing(operation: str, uri: str) -> str:
    """For the log and for errors, without secrets."""
    return f"{operation} {redact(uri)}"


def digest_of(data: bytes) -> str:
    """A version made of the bytes."""
    return f"{DIGEST}{hashlib.sha256(data).hexdigest()}"
