"""``http://`` and ``https://``: input from any server, output by WebDAV, or by PUT where a server allows it.

HTTP promises little by itself, so what was written is read back and compared. On a server that speaks WebDAV an object
goes up under another name and is given its own when it is known to be whole: a writer that is killed tears nothing.
Elsewhere it is written in place, which can tear; whether the server checks conditions there is found out, see
:mod:`nbstep_runner.stores.conditions`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import Final
from urllib.parse import quote, urlsplit

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import webdav
from nbstep_runner.stores.atomicfile import LEFTOVER_SECONDS, TEMP_PREFIX, TEMP_SUFFIX, is_temporary
from nbstep_runner.stores.conditions import Condition, Conditions, NotSupportedError
from nbstep_runner.stores.content import Upload
from nbstep_runner.stores.http_answers import is_weak, translated
from nbstep_runner.stores.http_requests import DIGEST, Requests, condition_of, digest_of
from nbstep_runner.stores.protocol import Blob, Source, Stat
from nbstep_runner.stores.registry import check_name
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.uris import beside, checked, join, redact

FOLDERS_AT_ONCE: Final = 32


class HttpStore:
    """Objects of any server.

    Attributes:
        verified: ``False`` once something was written that could not be read back.
    """

    atomic_replace = False

    def __init__(self, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._requests = Requests(allow_private=options.allow_private_addresses)
        self._retrier = Retrier(options.retry_seconds, translated, on_retry)
        self._conditions = Conditions()
        self._renames: dict[str, bool] = {}
        """Folders by whether objects are renamed there; a server may speak WebDAV in one and not in another."""
        self._weak = False
        """The server does not always tell a strong version: all are digests from then on, to agree with each other."""
        self._told_by_time: dict[str, bool] = {}
        """Servers that list no entity tags by whether theirs are made of what they list; see :meth:`_listed`."""
        self._tidied: set[str] = set()
        self._lock = Lock()
        self.verified = True

    @property
    def conditional_write(self) -> bool:
        """Whether every conditional write so far was checked by the server."""
        return self._conditions.held

    def read(self, uri: str) -> Blob:
        """The whole object as one answer holds it, its length checked, and its digest where the server sends one."""
        _object(uri)
        blob = self._retrier.call("reading", uri, lambda attempt: self._requests.get(uri, attempt))
        self._weak |= blob.version.startswith(DIGEST)
        return Blob(blob.data, digest_of(blob.data)) if self._weak else blob

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place, and read it back before that or after."""
        _object(uri)
        check_name(uri)
        upload = Upload(uri, data)
        if self._can_rename(uri):
            try:
                return self._replace(upload, if_version)
            except NotSupportedError:  # it speaks WebDAV, and may not rename
                self._renames[beside(uri, "")] = False
        if if_version is None:
            return self.send(upload, {})
        return self._conditions.write(self, upload, if_version, condition_of(if_version))

    def stat(self, uri: str) -> Stat | None:
        """What the server tells of the object; where it tells too little, the object is read."""
        _object(uri)
        try:
            found = self._retrier.call("checking", uri, lambda attempt: self._requests.head(uri, attempt))
            if found.version and not self._weak:
                return Stat(uri=uri, size=found.size, version=found.version, modified=found.modified)
            blob = self.read(uri)
        except InputNotFoundError:
            return None
        return Stat(uri=uri, size=len(blob.data), version=blob.version, modified=found.modified)

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the folder, on a server that speaks WebDAV; many folders are asked for at once."""
        pool = ThreadPoolExecutor(FOLDERS_AT_ONCE, thread_name_prefix="nbstep-webdav")
        try:
            yield from self._walk(self._contents(uri), pool)
        finally:
            pool.shutdown(cancel_futures=True)

    def _walk(self, contents: Sequence[tuple[str, Stat | None]], pool: ThreadPoolExecutor) -> Iterator[Stat]:
        below = {uri: pool.submit(self._contents, uri) for uri, found in contents if found is None}
        for uri, found in contents:
            if found is None:
                yield from self._walk(below[uri].result(), pool)
            else:
                yield found

    def _contents(self, folder: str) -> Sequence[tuple[str, Stat | None]]:
        """What is in a folder, nothing for a folder."""
        contents: list[tuple[str, Stat | None]] = []
        for entry in self._entries(folder):
            uri = join(folder, quote(entry.name))
            if entry.name.endswith("/"):
                contents.append((uri, None))
            elif not is_temporary(entry.name):
                found = self._listed(uri, entry)
                contents += [(uri, found)] if found else []
        return contents

    def _listed(self, uri: str, entry: webdav.Entry) -> Stat | None:
        """A member of a folder; it is asked for itself where the listing does not tell its version.

        nginx lists no entity tags, and makes them of the time and the size, which it does list: where the first object
        of a server shows that, the others are not asked for.
        """
        told = Stat(uri=uri, size=entry.size, version=entry.etag, modified=entry.modified)
        if entry.etag and not self._weak:
            return told
        server, made = urlsplit(uri).netloc, webdav.entity_tag_of(entry)
        if made and self._told_by_time.get(server) and not self._weak:
            return replace(told, version=made)
        found = self.stat(uri)
        if found is not None and made and not entry.etag:
            self._told_by_time.setdefault(server, found.version == made)
        return found

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object; a version is checked just before, and by the server where it does."""
        _object(uri)
        if if_version is not None and self.stat(uri) is not None:
            self.expect(uri, if_version)
        header = condition_of(if_version) if if_version else {}
        with suppress(InputNotFoundError):
            self._retrier.call("deleting", uri, lambda attempt: self._requests.delete(uri, header, attempt))

    def check_output(self, uri: str) -> None:
        """Refuse an output that has the name of a folder; see :func:`nbstep_runner.stores.check_output`."""
        if self._can_rename(uri):
            self._retrier.call("checking", uri, lambda attempt: self._requests.refuse_folder(uri, attempt))

    def _can_rename(self, uri: str) -> bool:
        folder = beside(uri, "")
        if folder not in self._renames:
            try:
                found = self._retrier.call(
                    "asking", folder, lambda attempt: self._requests.speaks_webdav(folder, attempt)
                )
            except (StorageDeniedError, BadInputError):  # it is told by who reads or writes there
                found = False
            self._renames[folder] = found
        return self._renames[folder]

    def expect(self, uri: str, version: str) -> None:
        """Compare the version now; see :class:`~nbstep_runner.stores.conditions.Writer`."""
        self._retrier.call("checking", uri, lambda attempt: self._requests.expect(uri, version, attempt))

    def send(self, upload: Upload, condition: Condition) -> str:
        """Write in place, with retries."""
        return self._retrier.write(
            upload.uri, lambda attempt: self._put(upload, condition, None, attempt), lambda: self.find(upload)
        )

    def send_once(self, upload: Upload, condition: Condition, held: Callable[[], None] | None) -> str:
        """The same without retries."""
        return self._retrier.call(
            "writing", upload.uri, lambda attempt: self._put(upload, condition, held, attempt), seconds=0
        )

    def find(self, upload: Upload) -> str | None:
        """The version of what is in place, if it holds these bytes."""
        found = self.read(upload.uri)
        return found.version if digest_of(found.data) == f"{DIGEST}{upload.sha256}" else None

    def _replace(self, upload: Upload, if_version: str | None) -> str:
        """Write under another name, read it back, and give it its own."""
        if if_version is not None:
            self._conditions.distrust()
        version = self._retrier.write(
            upload.uri, lambda attempt: self._try_to_replace(upload, if_version, attempt), lambda: self.find(upload)
        )
        self._tidy(upload.uri)
        return version

    def _try_to_replace(self, upload: Upload, if_version: str | None, attempt: Try) -> str:
        temporary = beside(
            upload.uri, f"{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}"
        )  # no try meets another's lock
        try:
            self._requests.put(upload, temporary, {}, attempt, None)
            self._requests.confirm(upload, temporary, attempt)
            self._requests.refuse_folder(upload.uri, attempt)
            self._move(temporary, upload.uri, if_version, attempt)
        except Exception:
            with suppress(Exception):  # the first failure is the one to tell of
                self._requests.delete(temporary, {}, attempt)
            raise
        try:
            found = self._requests.head(upload.uri, attempt)
        except InputNotFoundError as error:
            raise TransientError("another writer replaced the object at the same moment") from error
        return self._told(found.version, upload)

    def _move(self, temporary: str, uri: str, if_version: str | None, attempt: Try) -> None:
        if if_version is not None:
            self._requests.expect(uri, if_version, attempt)
        try:
            moved = self._requests.move(temporary, uri, if_version, attempt)
        except OutputConflictError:
            if not if_version:
                raise
            self._requests.expect(uri, if_version, attempt)  # it still holds: the server finds no such condition true
            moved = self._requests.move(temporary, uri, None, attempt)
        if not moved:
            raise NotSupportedError

    def _put(self, upload: Upload, condition: Condition, held: Callable[[], None] | None, attempt: Try) -> str:
        version = self._requests.put(upload, upload.uri, condition, attempt, held)
        found = self._requests.confirm(upload, upload.uri, attempt)
        self.verified &= found is not None
        return self._told(found or version, upload)

    def _told(self, version: str | None, upload: Upload) -> str:
        digest = f"{DIGEST}{upload.sha256}"
        self._weak |= version in {None, digest}
        return digest if self._weak or version is None else version

    def _entries(self, uri: str) -> Sequence[webdav.Entry]:
        try:
            body = self._retrier.call("listing", uri, lambda a: self._requests.properties(uri, a, members=True))
        except NotSupportedError as error:
            raise BadInputError(f"The server of {redact(uri)} does not list.", hint="Use one with WebDAV.") from error
        found = webdav.entries(body, uri) if body else []
        self._weak |= any(is_weak(entry.etag) for entry in found)
        return found

    def _tidy(self, uri: str) -> None:
        """Remove what killed writers left in the folder, once for this store."""
        folder = beside(uri, "")
        with self._lock:
            if folder in self._tidied:
                return
            self._tidied.add(folder)
        with suppress(NbstepError):
            members = self._entries(folder)
            now = max((entry.modified or 0.0 for entry in members), default=0.0)  # by the server's clock
            for entry in members:
                if is_temporary(entry.name) and now - (entry.modified or now) > LEFTOVER_SECONDS:
                    self.delete(beside(uri, quote(entry.name)))


def _object(uri: str) -> None:
    if urlsplit(checked(uri)).path.endswith("/") or not urlsplit(uri).path:
        raise BadInputError(f"{redact(uri)} names no object.", hint="Write https://host/folder/name.")


def open_backend(_uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> HttpStore:
    """A store; what it finds out of servers it knows for itself."""
    return HttpStore(options, on_retry)
