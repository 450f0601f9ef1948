"""``s3://``: Amazon S3 and servers that speak its protocol (MinIO, Ceph, SeaweedFS), through botocore.

Every object carries its SHA-256 as metadata, which comes back with each read: it proves the bytes on servers of every
make, for objects sent in parts too, and tells after a lost answer whether the object in place is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cached_property
from threading import Lock
from typing import Any, Final

from botocore.exceptions import ClientError

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError, StorageUnavailableError
from nbstep_runner.stores import content
from nbstep_runner.stores.conditions import Condition, Conditions, NotSupportedError, changed, expect
from nbstep_runner.stores.content import Upload
from nbstep_runner.stores.pace import gathered_in_time
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.s3_answers import PATIENT_TRIES, SHA256, TIMED, checksum_of, described, translated, version_of
from nbstep_runner.stores.s3_client import HeldBody, is_amazon, new_client
from nbstep_runner.stores.s3_parts import PART_BYTES, PARTS_AT_ONCE, PartsUpload
from nbstep_runner.stores.statuses import explained
from nbstep_runner.stores.uris import bucket_of, in_bucket

_CHUNK: Final = 1 << 16
"""Bytes that are read before they are counted as arrived."""


class S3Store:
    """Objects of any bucket that the default credentials reach; also what :class:`Conditions` asks of a writer.

    Attributes:
        atomic_replace: ``False`` once a server was met that has a moment without the object that it replaces: rclone,
            which calls itself Amazon's and is elsewhere.
        verified: ``False`` once a server took an object without showing its MD5 and without letting it be read.
    """

    def __init__(self, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._options = options
        self._retrier = Retrier(options.retry_seconds, translated, on_retry)
        self._connected: Any = None
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="nbstep-part")
        self.atomic_replace = True
        self.verified = True

    @property
    def conditional_write(self) -> bool:
        """Amazon's promise; any other server's is known after the first conditional write to it."""
        return self._conditions.held

    def read(self, uri: str) -> Blob:
        """The whole object as one answer holds it, length and checksum verified."""
        place = _place(uri)
        return self._retrier.call("reading", uri, lambda attempt: self._read(uri, place, patient=_is_early(attempt)))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place; the store verifies its MD5 before it does."""
        _place(uri)
        upload = Upload(uri, data)
        if if_version is None:
            return self.send(upload, {})
        condition = {"IfNoneMatch": "*"} if if_version == ABSENT else {"IfMatch": if_version}
        return self._conditions.write(self, upload, if_version, {} if if_version.startswith(TIMED) else condition)

    def stat(self, uri: str) -> Stat | None:
        place = _place(uri)
        with suppress(InputNotFoundError):
            return self._retrier.call(
                "checking",
                uri,
                lambda attempt: described(uri, self._client.head_object(**place), patient=_is_early(attempt)),
            )
        return None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the prefix, page by page."""
        query = {"Prefix": _place(uri, empty=True)["Key"]}
        while query:
            found, query = self._retrier.call("listing", uri, lambda _, q=query: self._page(uri, q))  # type: ignore[misc]  # q is the query of this turn
            yield from found

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object. A version is checked just before; few servers know a condition here."""
        place = _place(uri)
        if if_version is not None and self.stat(uri) is not None:
            self.expect(uri, if_version)
        with suppress(InputNotFoundError):  # Google's servers say so; Amazon's say nothing
            self._retrier.call("deleting", uri, lambda _: self._client.delete_object(**place))

    def expect(self, uri: str, version: str) -> None:
        """Compare the version now; see :class:`~nbstep_runner.stores.conditions.Writer`."""
        expect(self, uri, version)

    def send(self, upload: Upload, condition: Condition) -> str:
        """Write, with retries."""
        try:
            return self._retrier.write(
                upload.uri,
                lambda attempt: self._send(
                    upload, condition, PartsUpload(self._client, self._threads, self._retrier, attempt)
                ),
                lambda: self.find(upload),
            )
        except NotSupportedError as error:
            if condition:
                raise
            raise explained(501, f"writing {upload.uri}", str(error)) from error

    def send_once(self, upload: Upload, condition: Condition, held: Callable[[], None] | None) -> str:
        """Write an object that is not large, without retries."""
        try:
            return self._retrier.call(
                "writing", upload.uri, lambda _: self._send_whole(upload, condition, held), seconds=0
            )
        except StorageUnavailableError as error:
            if "ConditionalRequestConflict" in error.message:  # the server sees the other of two that overlap
                raise changed(upload.uri) from error
            raise

    def find(self, upload: Upload) -> str | None:
        """The version of what is in place, if it holds these bytes."""
        found = self.stat(upload.uri)
        return found.version if found and _is_ours(found, upload) else None

    def _page(self, uri: str, query: dict[str, str]) -> tuple[Sequence[Stat], dict[str, str]]:
        """The objects of a page of what lies below a URI, each as that is written, and the query of the next one."""
        page = self._client.list_objects_v2(Bucket=_place(uri, empty=True)["Bucket"], **query)
        root = bucket_of(uri)
        found = [described(f"{root}/{entry['Key']}", entry, patient=False) for entry in page.get("Contents", ())]
        if not page.get("IsTruncated"):
            return found, {}
        token = page.get("NextContinuationToken")
        if not token or token == query.get("ContinuationToken"):
            raise BadInputError(
                "The server does not say how its listing goes on.", hint="Use one that knows version 2."
            )
        return found, {**query, "ContinuationToken": token}

    def _read(self, uri: str, place: dict[str, str], *, patient: bool = True) -> Blob:
        answer = self._client.get_object(**place)

        def fill(buffer: content.BoundedBuffer) -> None:
            with closing(answer["Body"]) as body:
                for piece in body.iter_chunks(_CHUNK):
                    buffer.write(piece)

        data = gathered_in_time(fill)
        encoding = answer.get("ContentEncoding", "").replace("aws-chunked", "").strip(", ")
        plain = content.decoded(data, encoding, uri)
        algorithm, _, wanted = (checksum_of(answer) or "").partition(":")
        kept = plain if algorithm == "sha256" else data  # ours is of the bytes that were written, whatever sends them
        if wanted and wanted != hashlib.new(algorithm, kept, usedforsecurity=False).hexdigest():
            raise TransientError(f"{uri} arrived damaged: its {algorithm.upper()} does not match")
        return Blob(plain, version_of(answer, patient=patient))

    def _send(self, upload: Upload, condition: Condition, parts: PartsUpload) -> str:
        if upload.size <= PART_BYTES:
            return self._send_whole(upload, condition, None)
        answer, verified = parts.send(upload, _head(upload), condition)
        return self._confirmed(upload, answer, verified=verified)

    def _send_whole(self, upload: Upload, condition: Condition, held: Callable[[], None] | None) -> str:
        data = b"".join(content.chunks(upload.data))
        body = HeldBody(data, held) if held else data
        md5 = content.as_header(upload.md5)
        answer = self._client.put_object(Body=body, ContentMD5=md5, **_head(upload), **condition)
        return self._confirmed(upload, answer, verified=answer.get("ETag", "").strip('"') == upload.md5)

    def _confirmed(self, upload: Upload, answer: dict[str, Any], *, verified: bool) -> str:
        """The version of what was taken; what is in place is looked at where no entity tag showed its MD5.

        It is none with a service's key, or a server's own idea. Amazon has compared the MD5 before it took the object;
        of other servers it is read back, and has the version that it is read at.
        """
        calls_itself = answer["ResponseMetadata"]["HTTPHeaders"].get("server")
        self.atomic_replace &= calls_itself != "AmazonS3" or is_amazon(self._client)
        if verified:
            return version_of(answer)
        place = _place(upload.uri)
        try:
            found = described(upload.uri, self._client.head_object(**place))
            blob = None if is_amazon(self._client) else self._read(upload.uri, place)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                raise TransientError("the object was removed before it was confirmed") from error
            if status != 403:
                raise
            self.verified = False
            return version_of(answer)
        if not _is_ours(found, upload) or (blob and hashlib.sha256(blob.data).hexdigest() != upload.sha256):
            raise TransientError("other bytes are in place than were sent")
        return blob.version if blob else found.version

    @property
    def _client(self) -> Any:
        with self._lock:
            self._connected = self._connected or new_client(self._options)
        return self._connected

    @cached_property
    def _conditions(self) -> Conditions:
        return Conditions(held=True if is_amazon(self._client) else self._options.conditional_writes)


def _place(uri: str, *, empty: bool = False) -> dict[str, str]:
    bucket, key = in_bucket(uri, empty=empty)
    return {"Bucket": bucket, "Key": key}


def _is_early(attempt: Try) -> bool:
    return attempt.number < PATIENT_TRIES


def _head(upload: Upload) -> dict[str, Any]:
    """Where the object goes, and what goes with it."""
    return {**_place(upload.uri), "ContentType": content.media_type(upload.uri), "Metadata": {SHA256: upload.sha256}}


def _is_ours(found: Stat, upload: Upload) -> bool:
    return (found.checksum, found.size) == (f"sha256:{upload.sha256}", upload.size)


def open_backend(_uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> S3Store:
    """A store with its own client, which is made when it is first needed."""
    return S3Store(options, on_retry)
