"""``s3://``: Amazon S3 and servers that speak its protocol (MinIO, Ceph, SeaweedFS), through botocore.

Every object carries its SHA-256 as metadata, which comes back with each read: it proves the bytes on servers of every
make, for objects sent in parts too, and tells after a lost answer whether the object in place is ours.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageUnavailableError,
)
from nbstep_runner.stores import content
from nbstep_runner.stores.conditions import (
    PROBE_BYTES,
    ConditionalWrite,
    Conditions,
    NotSupportedError,
    changed,
    expect,
)
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier, TransientError, Try, idle_within
from nbstep_runner.stores.s3_errors import translated
from nbstep_runner.stores.s3_parts import PART_BYTES, PartsUpload
from nbstep_runner.stores.statuses import RefusedError, explained
from nbstep_runner.stores.uris import checked

_SHA256: Final = "nbstep-sha256"
_DAMAGED_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Upload:
    """What is being written, with what the store has to confirm."""

    uri: str
    data: Source
    size: int
    sha256: str


class S3Store:
    """Objects of any bucket that the default credentials reach.

    Attributes:
        verified: ``False`` once a server took an object without showing its MD5 and without letting it be read.
    """

    atomic_replace = True

    def __init__(self, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._options = options
        self._retrier = Retrier(options.retry_seconds, translated, on_retry)
        self._connected: Any = None
        self._lock = Lock()
        self.verified = True

    @property
    def conditional_write(self) -> bool:
        """Amazon's promise; any other server's is known after the first conditional write to it."""
        return self._conditions.held

    def read(self, uri: str) -> Blob:
        """The whole object as one answer holds it, length and checksum verified."""
        place = _place(uri)
        return self._retrier.call(f"reading {uri}", lambda _: self._read(uri, place))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place; the store verifies its MD5 before it does."""
        _place(uri)
        sha256 = content.digested(data, hashlib.sha256()).hexdigest()
        upload = _Upload(uri, data, content.size_of(data), sha256)
        if if_version is None:
            return self._put(upload, {})
        condition = {"IfNoneMatch": "*"} if if_version == ABSENT else {"IfMatch": if_version}
        return self._conditions.write(
            ConditionalWrite(
                uri=uri,
                check=lambda: expect(self, uri, if_version),
                send=lambda header: self._put(upload, condition if header else {}),
                creates=if_version == ABSENT,
                find=lambda: self._find(upload),
                send_once=lambda: self._once(upload, condition, None),
                send_held=(lambda held: self._once(upload, condition, held)) if upload.size <= PROBE_BYTES else None,
            )
        )

    def stat(self, uri: str) -> Stat | None:
        """What the store knows of the object."""
        place = _place(uri)
        with suppress(InputNotFoundError):
            return self._retrier.call(f"looking at {uri}", lambda _: _described(uri, self._client.head_object(**place)))
        return None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the prefix, page by page."""
        place = _place(uri, empty=True)
        query = {"Bucket": place["Bucket"], "Prefix": place["Key"]}
        while True:
            page, found = self._retrier.call(f"listing {uri}", lambda _, q=query: self._page(q))  # type: ignore[misc]  # q is the query of this turn
            yield from found
            if not page.get("IsTruncated"):
                return
            query = {**query, "ContinuationToken": page["NextContinuationToken"]}

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object. A version is checked just before; few servers know a condition here."""
        place = _place(uri)
        if if_version is not None and self.stat(uri) is not None:
            expect(self, uri, if_version)
        self._retrier.call(f"deleting {uri}", lambda _: self._client.delete_object(**place))

    def _page(self, query: dict[str, str]) -> tuple[dict[str, Any], Sequence[Stat]]:
        page: dict[str, Any] = self._client.list_objects_v2(**query)
        return page, list(_listed(query["Bucket"], page))

    def _read(self, uri: str, place: dict[str, str]) -> Blob:
        answer = self._client.get_object(**place)
        with closing(answer["Body"]) as body:
            data = content.gathered(body.iter_chunks(content.CHUNK))
        wanted = answer.get("Metadata", {}).get(_SHA256)
        if wanted and wanted != hashlib.sha256(data).hexdigest():
            raise TransientError(f"{uri} arrived damaged: its SHA-256 does not match")
        if not wanted and _is_md5(answer) and answer["ETag"].strip('"') != _md5(data).hex():
            raise TransientError(f"{uri} arrived damaged: its MD5 does not match")
        encoding = answer.get("ContentEncoding", "").replace("aws-chunked", "").strip(", ")
        return Blob(content.decoded(data, encoding, uri), _version(answer))

    def _put(self, upload: _Upload, condition: dict[str, str]) -> str:
        doing = f"writing {upload.uri}"
        try:
            return self._retrier.call(
                doing,
                lambda attempt: self._send(upload, condition, attempt),
                recover=lambda error, attempt: self._recovered(error, upload, attempt),
            )
        except NotSupportedError as error:
            if condition:
                raise
            raise explained(501, doing, str(error)) from error

    def _once(self, upload: _Upload, condition: dict[str, str], held: Callable[[], None] | None) -> str:
        try:
            doing = f"writing {upload.uri}"
            return self._retrier.call(doing, lambda attempt: self._send(upload, condition, attempt, held), seconds=0)
        except StorageUnavailableError as error:
            if "ConditionalRequestConflict" in error.message:  # the server sees the other of two that overlap
                raise changed(upload.uri) from error
            raise

    def _send(
        self, upload: _Upload, condition: dict[str, str], attempt: Try, held: Callable[[], None] | None = None
    ) -> str:
        head = {
            **_place(upload.uri),
            "ContentType": content.media_type(upload.uri),
            "Metadata": {_SHA256: upload.sha256},
        }
        if upload.size > PART_BYTES:
            parts = PartsUpload(self._client, self._retrier, attempt, upload.uri)
            answer, verified = parts.send(upload.data, head, condition)
        else:
            answer, verified = self._send_whole(upload, {**head, **condition}, held)
        if not verified:
            self._confirm(upload)
        return _version(answer)

    def _send_whole(
        self, upload: _Upload, request: dict[str, Any], held: Callable[[], None] | None
    ) -> tuple[dict[str, Any], bool]:
        """The answer, and whether it shows that the store computed our MD5."""
        data = b"".join(content.chunks(upload.data))
        md5 = _md5(data)
        body = _HeldBody(data, held) if held else data
        answer: dict[str, Any] = self._client.put_object(Body=body, ContentMD5=_base64(md5), **request)
        return answer, answer.get("ETag", "").strip('"') == md5.hex()

    def _confirm(self, upload: _Upload) -> None:
        """See what is in place, where an entity tag is no MD5: encrypted with a service's key, or a server's own idea.

        Amazon has compared the MD5 before it took the object; of other servers it is read back.
        """
        found = self._client.head_object(**_place(upload.uri))
        if not _is_ours(found, upload):
            raise TransientError(f"{upload.uri} was confirmed with another checksum")
        if self._is_amazon:
            return
        try:
            self._read(upload.uri, _place(upload.uri))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
            self.verified = False

    def _recovered(self, error: Exception, upload: _Upload, attempt: Try) -> str:
        """The version, if an earlier try wrote the object and only its answer was lost; else the error is raised."""
        lost = isinstance(error, OutputConflictError | InputNotFoundError) and attempt.number > 1
        if lost and (found := self._find(upload)):
            return found
        if isinstance(error, RefusedError) and attempt.number < _DAMAGED_TRIES:
            raise TransientError(error.message.rstrip(".")) from error
        raise error

    def _find(self, upload: _Upload) -> str | None:
        """The version of what is in place, if it holds these bytes."""
        place = _place(upload.uri)
        with suppress(NbstepError):
            return self._retrier.call(
                f"looking at {upload.uri}", lambda _: _version_of_ours(self._client.head_object(**place), upload)
            )
        return None

    @property
    def _client(self) -> Any:
        with self._lock:
            self._connected = self._connected or self._new_client()
        return self._connected

    def _new_client(self) -> Any:
        idle = idle_within(self._options.retry_seconds)
        config = Config(
            connect_timeout=idle,
            read_timeout=idle,
            retries={"total_max_attempts": 1},  # the policy of all stores retries
            request_checksum_calculation="when_required",  # trailing checksums are refused by many servers
        )
        session = botocore.session.get_session()
        client = session.create_client("s3", endpoint_url=self._options.endpoint_url, config=config)
        client.meta.events.register("before-send.s3.PutObject", _HeldBody.begin)
        return client

    @cached_property
    def _is_amazon(self) -> bool:
        host = urlsplit(self._client.meta.endpoint_url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @cached_property
    def _conditions(self) -> Conditions:
        return Conditions(held=True if self._is_amazon else self._options.conditional_writes)


class _HeldBody(io.BytesIO):
    """Bytes that wait for something to be done before the first of them is sent; signing may read them before."""

    def __init__(self, data: bytes, held: Callable[[], None]) -> None:
        super().__init__(data)
        self._held: Callable[[], None] | None = held
        self._on_the_wire = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self._on_the_wire and self._held:
            held, self._held = self._held, None
            held()
        return super().read(size)

    @staticmethod
    def begin(request: Any, **_: Any) -> None:
        """What botocore calls before it sends a request."""
        if isinstance(request.body, _HeldBody):
            request.body._on_the_wire = True  # noqa: SLF001 - of this class


def _place(uri: str, *, empty: bool = False) -> dict[str, str]:
    """Bucket and key; the key may be empty only for a listing."""
    bucket, _, key = checked(uri).partition("://")[2].partition("/")
    if not bucket or not (key or empty):
        raise BadInputError(f"{uri} names no object.", hint="Write s3://bucket/folder/name.")
    return {"Bucket": bucket, "Key": key}


def _version(answer: dict[str, Any]) -> str:
    version = answer.get("ETag", "").strip('"')
    if not version:
        raise TransientError("the store confirmed the object without its ETag")
    return str(version)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _is_md5(answer: dict[str, Any]) -> bool:
    """Whether the ETag is the MD5 of the bytes: not for parts, nor with a key of a service or of the user."""
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    return len(answer.get("ETag", "").strip('"')) == 32 and not encrypted


def _version_of_ours(found: dict[str, Any], upload: _Upload) -> str | None:
    return _version(found) if _is_ours(found, upload) else None


def _is_ours(found: dict[str, Any], upload: _Upload) -> bool:
    sha256: str = found.get("Metadata", {}).get(_SHA256, "")
    return sha256 == upload.sha256 and bool(found["ContentLength"] == upload.size)


def _described(uri: str, found: dict[str, Any]) -> Stat:
    sha256 = found.get("Metadata", {}).get(_SHA256)
    md5 = f"md5:{_version(found)}" if _is_md5(found) else None
    return Stat(
        uri=uri,
        size=found["ContentLength"],
        version=_version(found),
        checksum=f"sha256:{sha256}" if sha256 else md5,
        modified=found["LastModified"].timestamp(),
    )


def _listed(bucket: str, page: dict[str, Any]) -> Iterator[Stat]:
    for entry in page.get("Contents", ()):
        yield Stat(
            uri=f"s3://{bucket}/{entry['Key']}",
            size=entry["Size"],
            version=_version(entry),
            modified=entry["LastModified"].timestamp(),
        )


def open_backend(_uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> S3Store:
    """A store with its own client, which is made when it is first needed."""
    return S3Store(options, on_retry)
