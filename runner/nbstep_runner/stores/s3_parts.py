"""Large objects to S3 in parts, several at once: each is verified and retried by itself; all go if the whole fails."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any, Final

from botocore.exceptions import ClientError

from nbstep_runner.stores import content
from nbstep_runner.stores.retrying import Retrier, TransientError, Try

PART_BYTES: Final = 16 * 2**20
"""A part, and the size above which an object is sent in parts."""
PARTS_AT_ONCE: Final = 4
"""Of all objects of a store: so many parts are in memory."""


class _ForgottenError(Exception):
    """The store does not know the upload any more, and takes no part of it: all of them have to be sent again."""


@dataclass(frozen=True, slots=True)
class PartsUpload:
    """One object on its way in parts.

    Attributes:
        client: A botocore client for S3.
        threads: Each sends a part at a time, of this object or another, and holds it in memory meanwhile.
        retrier: For each part.
        attempt: The try of the whole, whose budget the parts share.
    """

    client: Any
    threads: ThreadPoolExecutor
    retrier: Retrier
    attempt: Try

    def send(
        self, upload: content.Upload, head: dict[str, Any], condition: Mapping[str, str]
    ) -> tuple[dict[str, Any], bool]:
        """The store's answer once all parts have become one object, and whether it showed the MD5 of each.

        Args:
            upload: What is sent.
            head: Bucket, key and metadata of the object.
            condition: The precondition, which the store checks when the parts become one object.

        Raises:
            TransientError: The store has forgotten the upload; another may succeed.
        """
        place = {"Bucket": head["Bucket"], "Key": head["Key"]}
        begun = {**place, "UploadId": self.client.create_multipart_upload(**head)["UploadId"]}
        try:
            sent = self._send_all(upload, begun)
            parts = [part for part, _ in sent]
            answer: dict[str, Any] = self.client.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, **begun, **condition
            )
        except _ForgottenError as error:
            raise TransientError("the store answered NoSuchUpload") from error
        except BaseException:
            with suppress(Exception):  # what stays is not an object, and the bucket's lifecycle rules remove it
                self.client.abort_multipart_upload(**begun)
            raise
        return answer, all(shown for _, shown in sent)

    def _send_all(self, upload: content.Upload, begun: dict[str, str]) -> list[tuple[dict[str, Any], bool]]:
        """What names each part, and whether the store showed its MD5. When one has failed, none is on its way."""
        numbers = range(1, -(-upload.size // PART_BYTES) + 1)
        sending: list[Future[tuple[dict[str, Any], bool]]] = []
        alone, gate, on_their_way = Event(), Lock(), list[Event]()

        def send(number: int) -> tuple[dict[str, Any], bool]:
            done = Event()
            with gate:
                if alone.is_set():  # also one whose future is lost: it was queued by the call that found no thread
                    raise CancelledError
                on_their_way.append(done)
            try:
                return self._send_part(upload, begun, number)
            finally:
                done.set()

        try:
            for number in numbers:
                sending.append(self.threads.submit(send, number))  # noqa: PERF401 - those before an error are needed
        except RuntimeError:  # the limit of processes leaves no room for a thread
            with gate:
                alone.set()
            for part in on_their_way:
                part.wait()
            return [self._send_part(upload, begun, number) for number in numbers]
        _, unfinished = wait(sending, return_when=FIRST_EXCEPTION)
        if unfinished:
            wait([part for part in unfinished if not part.cancel()])
        return [part.result() for part in sending if not part.cancelled()]

    def _send_part(self, upload: content.Upload, begun: dict[str, str], number: int) -> tuple[dict[str, Any], bool]:
        piece = content.piece_of(upload.data, (number - 1) * PART_BYTES, PART_BYTES)
        md5 = hashlib.md5(piece, usedforsecurity=False).hexdigest()
        request = {**begun, "PartNumber": number, "Body": piece, "ContentMD5": content.as_header(md5)}
        answer = self.retrier.call(
            f"writing part {number} of", upload.uri, lambda _: self._put_part(request), seconds=self.attempt.left
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}, answer["ETag"].strip('"') == md5

    def _put_part(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.client.upload_part(**request)
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchUpload":
                raise _ForgottenError from error
            raise
        return answer
