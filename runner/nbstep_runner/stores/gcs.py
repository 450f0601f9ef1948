"""``gs://``: Google Cloud Storage, with a generation precondition on every write and delete.

The one module that imports ``google.cloud``. Retries are safe because every change names the generation that it
replaces: when an answer was lost, the next try is refused, and the checksum says whether the object is ours.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from threading import Lock
from typing import Any, Final

import google.auth
import google_crc32c
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import InputNotFoundError, OutputConflictError
from nbstep_runner.stores import content, gcs_errors
from nbstep_runner.stores.pace import gathered_in_time
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.uris import bucket_of, in_bucket

_NONE: Final = 0
"""As a generation: there is no object."""
_PARTS_ABOVE: Final = 8 * 2**20
"""Larger objects go up in parts (the client's own threshold); a part that fails is sent again, not the whole."""
_PART_BYTES: Final = 16 * 2**20
_CHANGED_TRIES: Final = 5
_LISTED: Final = "items(name,size,generation,crc32c,updated),nextPageToken"


class _Upload(content.Upload):
    @cached_property
    def crc32c(self) -> str:
        """As the store writes it; computed when it is first asked for."""
        return _crc32c(self.data)


class GcsStore:
    """Objects of any bucket that the application default credentials reach."""

    atomic_replace = True
    conditional_write = True
    verified = True

    def __init__(self, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._project = options.project
        self._retrier = Retrier(options.retry_seconds, _translated, on_retry)
        self._client: storage.Client | None = None
        self._lock = Lock()
        self._generations: dict[str, int] = {}

    def read(self, uri: str) -> Blob:
        """The whole object at one generation, CRC32C verified."""
        in_bucket(uri)
        return self._retrier.call("reading", uri, lambda attempt: self._read(uri, attempt))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place; the store verifies our CRC32C before it does."""
        in_bucket(uri)
        upload = _Upload(uri, data)
        if if_version is not None:
            return self._put(upload, _generation(uri, if_version))
        for _ in range(_CHANGED_TRIES):
            with suppress(OutputConflictError):
                return self._put(upload, self._generations.get(uri, _NONE))
            self.stat(uri)
        raise OutputConflictError(f"{uri} is replaced again and again by others.")

    def stat(self, uri: str) -> Stat | None:
        in_bucket(uri)
        found: Stat | None = None
        with suppress(InputNotFoundError):
            found = self._retrier.call("checking", uri, lambda attempt: self._stat(uri, attempt))
        self._generations[uri] = int(found.version) if found else _NONE
        return found

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the prefix, page by page."""
        in_bucket(uri, empty=True)
        token: str | None = None
        while True:
            found, token = self._retrier.call("listing", uri, lambda a, t=token: self._page(uri, t, a))  # type: ignore[misc]  # t is the token of this turn
            yield from found
            if not token:
                return

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object at one generation."""
        in_bucket(uri)
        if if_version is not None:
            return self._remove(uri, _generation(uri, if_version))
        for _ in range(_CHANGED_TRIES):
            generation = self._generations.get(uri) or self._known_generation(uri)
            if generation == _NONE:
                return None
            with suppress(OutputConflictError):
                return self._remove(uri, generation)
            self._generations.pop(uri, None)
        raise OutputConflictError(f"{uri} is replaced again and again by others.")

    def _known_generation(self, uri: str) -> int:
        self.stat(uri)
        return self._generations[uri]

    def _read(self, uri: str, attempt: Try) -> Blob:
        blob = self._blob(uri)
        options = {"raw_download": True, "checksum": "crc32c", "timeout": attempt.idle, "retry": None}
        data = gathered_in_time(lambda buffer: blob.download_to_file(buffer, **options))
        if not (blob.crc32c and blob.generation):  # a proxy took the headers away: ask for them
            blob.reload(timeout=attempt.idle, retry=None)
        if blob.crc32c != _crc32c(data):
            raise TransientError(f"{uri} arrived damaged: its CRC32C does not match")
        self._generations[uri] = int(blob.generation)
        return Blob(content.decoded(data, blob.content_encoding or "", uri), str(blob.generation))

    def _put(self, upload: _Upload, generation: int) -> str:
        version = self._retrier.write(
            upload.uri, lambda attempt: self._send(upload, generation, attempt), lambda: self._find(upload)
        )
        self._generations[upload.uri] = int(version)
        return version

    def _find(self, upload: _Upload) -> str | None:
        """The version of what is in place, if it holds these bytes."""
        found = self.stat(upload.uri)
        ours = found and (found.checksum, found.size) == (_named(upload.crc32c), upload.size)
        return found.version if found and ours else None

    def _send(self, upload: _Upload, generation: int, attempt: Try) -> str:
        blob = self._blob(upload.uri)
        blob.crc32c = upload.crc32c
        blob.chunk_size = _PART_BYTES
        with content.opened(upload.data) as stream:
            blob.upload_from_file(
                stream,
                size=upload.size,
                content_type=content.media_type(upload.uri),
                if_generation_match=generation,
                timeout=attempt.idle,
                checksum=None,  # ours is in the metadata already, for the store to verify
                retry=self._part_retry(upload, attempt) if upload.size > _PARTS_ABOVE else None,
            )
        if blob.crc32c != upload.crc32c or not blob.generation:
            raise TransientError(f"{upload.uri} was confirmed with another checksum")
        return str(blob.generation)

    def _part_retry(self, upload: _Upload, attempt: Try) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        """The client applies its ``retry`` to every part as a decorator; this one follows the policy of all stores."""
        call, doing = self._retrier.call, "writing a part of"
        return lambda send: lambda: call(doing, upload.uri, lambda _: send(), seconds=attempt.left)

    def _remove(self, uri: str, generation: int) -> None:
        def remove(attempt: Try) -> None:
            self._blob(uri).delete(if_generation_match=generation, timeout=attempt.idle, retry=None)

        with suppress(InputNotFoundError):
            self._retrier.call("deleting", uri, remove)
        self._generations[uri] = _NONE

    def _stat(self, uri: str, attempt: Try) -> Stat:
        blob = self._blob(uri)
        blob.reload(timeout=attempt.idle, retry=None)
        return _described(uri, blob)

    def _page(self, uri: str, token: str | None, attempt: Try) -> tuple[Sequence[Stat], str | None]:
        """The objects of a page of what lies below a URI, each as that is written, and the token of the next one."""
        bucket, prefix = in_bucket(uri, empty=True)
        listing = self._connected().list_blobs(
            self._bucket(bucket), prefix=prefix, page_token=token, fields=_LISTED, timeout=attempt.idle, retry=None
        )
        page = next(iter(listing.pages), ())
        return [_described(f"{bucket_of(uri)}/{blob.name}", blob) for blob in page], listing.next_page_token

    def _blob(self, uri: str) -> storage.Blob:
        bucket, name = in_bucket(uri)
        return self._bucket(bucket).blob(name)

    def _bucket(self, name: str) -> storage.Bucket:
        return self._connected().bucket(name, user_project=self._project)

    def _connected(self) -> storage.Client:
        with self._lock:
            self._client = self._client or _new_client(self._project)
        return self._client


def _new_client(project: str | None) -> storage.Client:
    client = storage.Client(project=project, credentials=_emulator_credentials())
    client._bucket_metadata_cache = None  # noqa: SLF001 - else it asks for every bucket's metadata, for tracing
    return client


def _emulator_credentials() -> Any:
    """Against an emulator the client sends no credentials of its own accord; where some are named, it shall."""
    if not (os.environ.get("STORAGE_EMULATOR_HOST") and os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")):
        return None
    credentials, _ = google.auth.default(scopes=storage.Client.SCOPE)
    return credentials


def _translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of the client's; other exceptions stay what they are."""
    meaning = error
    if isinstance(error, GoogleAPICallError | InvalidResponse) and error.response is not None:
        meaning = gcs_errors.answered(error.response, doing)
    elif isinstance(error, DefaultCredentialsError):
        meaning = gcs_errors.no_credentials(doing)
    elif isinstance(error, GoogleAuthError):
        meaning = gcs_errors.unauthenticated(error, doing, may_pass=error.retryable)
    elif isinstance(error, gcs_errors.SessionGoneError):
        meaning = TransientError(str(error))
    elif isinstance(error, DataCorruption):
        meaning = TransientError("the object arrived damaged: its CRC32C does not match")
    elif isinstance(error, gcs_errors.CONNECTION):
        meaning = TransientError(gcs_errors.in_words(error))
    return meaning


def _generation(uri: str, version: str) -> int:
    if version == ABSENT:
        return _NONE
    if not version.isdigit() or int(version) == _NONE:
        raise OutputConflictError(f"{uri} never was at version {version!r}.")
    return int(version)


def _crc32c(data: Source) -> str:
    """As the store writes it: base64 of four bytes, big-endian."""
    digest: content.Digest = google_crc32c.Checksum()  # type: ignore[no-untyped-call]  # the library is not annotated
    return base64.b64encode(content.digested(data, digest).digest()).decode()


def _named(crc32c: str) -> str:
    return f"crc32c:{base64.b64decode(crc32c).hex()}"


def _described(uri: str, blob: storage.Blob) -> Stat:
    return Stat(
        uri=uri,
        size=blob.size,
        version=str(blob.generation),
        checksum=_named(blob.crc32c) if blob.crc32c else None,
        modified=blob.updated.timestamp() if blob.updated else None,
    )


def open_backend(_uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> GcsStore:
    """A store with its own client, which is made when it is first needed."""
    return GcsStore(options, on_retry)
