"""Large objects to S3 in parts: each is verified and retried by itself, and all are dropped if the whole fails."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.stores import content
from nbstep_runner.stores.protocol import Source
from nbstep_runner.stores.retrying import Retrier, Try

PART_BYTES: Final = 16 * 2**20
"""A part, and the size above which an object is sent in parts."""


@dataclass(frozen=True, slots=True)
class PartsUpload:
    """One object on its way in parts; one part at a time is in memory.

    Attributes:
        client: A botocore client for S3.
        retrier: For each part.
        attempt: The try of the whole, whose budget the parts share.
        uri: For the log.
    """

    client: Any
    retrier: Retrier
    attempt: Try
    uri: str

    def send(self, data: Source, head: dict[str, Any], condition: dict[str, str]) -> tuple[dict[str, Any], bool]:
        """The store's answer once all parts have become one object, and whether it showed the MD5 of each.

        Args:
            data: What is sent.
            head: Bucket, key and metadata of the object.
            condition: The precondition, which the store checks when the parts become one object.
        """
        place = {"Bucket": head["Bucket"], "Key": head["Key"]}
        upload = {**place, "UploadId": self.client.create_multipart_upload(**head)["UploadId"]}
        try:
            sent = [self._send_part(upload, number, piece) for number, piece in enumerate(_pieces(data), start=1)]
            parts = [part for part, _ in sent]
            whole = {"MultipartUpload": {"Parts": parts}, **upload, **condition}
            answer: dict[str, Any] = self.client.complete_multipart_upload(**whole)
        except BaseException:
            with suppress(Exception):  # what stays is not an object, and the bucket's lifecycle rules remove it
                self.client.abort_multipart_upload(**upload)
            raise
        return answer, all(shown for _, shown in sent)

    def _send_part(self, upload: dict[str, str], number: int, piece: bytes) -> tuple[dict[str, Any], bool]:
        digest = hashlib.md5(piece, usedforsecurity=False)
        md5 = base64.b64encode(digest.digest()).decode()
        answer = self.retrier.call(
            f"writing part {number} of {self.uri}",
            lambda _: self.client.upload_part(**upload, PartNumber=number, Body=piece, ContentMD5=md5),
            seconds=self.attempt.left,
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}, answer["ETag"].strip('"') == digest.hexdigest()


def _pieces(data: Source) -> Iterator[bytes]:
    with content.opened(data) as stream:
        while piece := stream.read(PART_BYTES):
            yield piece
