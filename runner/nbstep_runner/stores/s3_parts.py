"""Large objects to S3 in parts: each is verified and retried by itself, and all are dropped if the whole fails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
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
    """

    client: Any
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
        """
        place = {"Bucket": head["Bucket"], "Key": head["Key"]}
        begun = {**place, "UploadId": self.client.create_multipart_upload(**head)["UploadId"]}
        try:
            pieces = enumerate(_pieces(upload.data), start=1)
            sent = [self._send_part(upload.uri, begun, number, piece) for number, piece in pieces]
            parts = [part for part, _ in sent]
            answer: dict[str, Any] = self.client.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, **begun, **condition
            )
        except BaseException:
            with suppress(Exception):  # what stays is not an object, and the bucket's lifecycle rules remove it
                self.client.abort_multipart_upload(**begun)
            raise
        return answer, all(shown for _, shown in sent)

    def _send_part(self, uri: str, begun: dict[str, str], number: int, piece: bytes) -> tuple[dict[str, Any], bool]:
        md5 = hashlib.md5(piece, usedforsecurity=False).hexdigest()
        request = {**begun, "PartNumber": number, "Body": piece, "ContentMD5": content.as_header(md5)}
        answer = self.retrier.call(
            f"writing part {number} of", uri, lambda _: self.client.upload_part(**request), seconds=self.attempt.left
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}, answer["ETag"].strip('"') == md5


def _pieces(data: Source) -> Iterator[bytes]:
    with content.opened(data) as stream:
        while piece := stream.read(PART_BYTES):
            yield piece
