"""The small parts that several stores are made of."""

from __future__ import annotations

import gzip
import hashlib
import re
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner import stores
from nbstep_runner.errors import BadInputError, NbstepError, StorageUnavailableError
from nbstep_runner.stores import addresses, content, s3_parts, webdav
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.s3_parts import PARTS_AT_ONCE, PartsUpload
from nbstep_runner.stores.statuses import explained
from nbstep_runner.testing import Call, Fault, FaultyStore, MemorySpace, MemoryStore

WIDE = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a/>'.encode("utf-16")
LISTING = """<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">
<D:response><D:href>/runs/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop>
</D:propstat></D:response>
<D:response><D:href>/runs/b%20c.ipynb</D:href><D:propstat><D:prop><D:getcontentlength>3</D:getcontentlength>
<D:getetag>"x"</D:getetag><D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified></D:prop></D:propstat>
</D:response>
<D:response><D:href>http://host/runs/a</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>
</D:prop></D:propstat></D:response>
<D:response><D:href>/elsewhere/x</D:href></D:response>
<D:response><D:href>/runs/deep/x</D:href></D:response>
<D:response><D:href>/runs/..</D:href></D:response>
</D:multistatus>"""


@given(data=st.binary(max_size=5000), encoding=st.sampled_from(["gzip", "deflate", "x-gzip", "identity", ""]))
def test_what_was_encoded_is_decoded(data: bytes, encoding: str) -> None:
    encoded = {"gzip": gzip.compress(data), "x-gzip": gzip.compress(data), "deflate": zlib.compress(data)}
    assert content.decoded(encoded.get(encoding, data), encoding, "a") == data


def test_joined_gzip_members_are_one() -> None:
    assert content.decoded(gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0), "gzip", "a") == b"onetwo"


@pytest.mark.fault(36)
@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"cut short" * 100, mtime=0)[:-9], b""])
def test_damaged_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(BadInputError):
        content.decoded(data, "gzip", "a")


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(BadInputError, match="'br'"):
        content.decoded(b"x", "br", "a")


def test_an_object_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "READ_LIMIT", 10)
    assert content.gathered([b"12345"] * 2) == b"1234512345"
    with pytest.raises(BadInputError, match="larger than"):
        content.gathered([b"12345"] * 3)


def test_a_local_file_that_is_gone_is_told_of(tmp_path: Path) -> None:
    for function in (content.opened, content.size_of, lambda data: list(content.chunks(data))):
        with pytest.raises(StorageUnavailableError, match="cannot be read"):
            function(tmp_path / "missing")


def test_a_files_digest_is_read_once_until_somebody_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_bytes(b"one")
    read: list[Path] = []
    chunks = content.chunks

    def noted(data: Path) -> Iterator[bytes]:
        read.append(data)
        return chunks(data)

    monkeypatch.setattr(content, "chunks", noted)
    first = [content.checksum(file), content.checksum(file), f"sha256:{content.Upload('', file).sha256}"]
    assert set(first) == {f"sha256:{hashlib.sha256(b'one').hexdigest()}"}
    assert len(read) == 1
    other.write_bytes(b"two")
    other.replace(file)
    assert content.checksum(file) == f"sha256:{hashlib.sha256(b'two').hexdigest()}"
    assert content.checksum(b"one") == first[0]


class Parts:
    """What a client for S3 keeps of parts; ``refuses`` is the part that it does not take."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.sent: dict[int, bytes] = {}
        self.numbers: list[int] = []
        self.at_once = self.most = 0
        self.aborted_with: int | None = None
        self.object: bytes | None = None
        self._lock = Lock()
        self._together = Barrier(PARTS_AT_ONCE)

    def create_multipart_upload(self, **_: str) -> dict[str, str]:
        return {"UploadId": "u"}

    def upload_part(self, *, PartNumber: int, Body: bytes, **_: str) -> dict[str, str]:  # noqa: N803 - as botocore has it
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if PartNumber <= PARTS_AT_ONCE:
            self._together.wait(120)
        with self._lock:
            self.at_once -= 1
            self.sent[PartNumber] = Body
            self.numbers.append(PartNumber)
        if PartNumber == self.refuses:
            raise StorageUnavailableError("no room")
        return {"ETag": f'"{hashlib.md5(Body, usedforsecurity=False).hexdigest()}"'}

    def complete_multipart_upload(self, *, MultipartUpload: dict[str, Any], **_: str) -> dict[str, str]:  # noqa: N803 - as botocore has it
        self.object = b"".join(self.sent[part["PartNumber"]] for part in MultipartUpload["Parts"])
        return {"ETag": '"whole-9"'}

    def abort_multipart_upload(self, **_: str) -> None:
        self.aborted_with = self.at_once


def send_parts(client: Parts, data: bytes | Path) -> tuple[dict[str, Any], bool]:
    retrier = Retrier(5.0, lambda error, _: error)
    with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
        upload = PartsUpload(client, threads, retrier, Try(1, time.monotonic() + 60))
        return upload.send(content.Upload("s3://b/k", data), {"Bucket": "b", "Key": "k"}, {})


@pytest.mark.parametrize("as_file", [False, True])
def test_parts_go_up_at_once_and_in_their_order(tmp_path: Path, as_file: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_parts, "PART_BYTES", 10)
    data = bytes(range(85))
    (tmp_path / "file").write_bytes(data)
    client = Parts()
    assert send_parts(client, tmp_path / "file" if as_file else data) == ({"ETag": '"whole-9"'}, True)
    assert (client.object, len(client.sent), client.most) == (data, 9, PARTS_AT_ONCE)


def test_a_part_that_fails_drops_all_once_none_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_parts, "PART_BYTES", 10)
    client = Parts(refuses=2)
    with pytest.raises(StorageUnavailableError, match="no room"):
        send_parts(client, bytes(10_000))
    assert (client.aborted_with, client.object) == (0, None)


@pytest.mark.parametrize("begun", [0, 2])
def test_where_no_thread_can_be_started_parts_go_up_one_after_another(
    monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    """None that was begun or queued before is on its way any more, and another object's are left alone."""
    monkeypatch.setattr(s3_parts, "PART_BYTES", 10)
    client = Parts()
    monkeypatch.setattr(Barrier, "wait", lambda *_: 0)
    start, calls = ThreadPoolExecutor._adjust_thread_count, count()

    def scarce(pool: ThreadPoolExecutor) -> None:
        if next(calls) >= begun:
            raise RuntimeError("can't start new thread")
        start(pool)

    monkeypatch.setattr(ThreadPoolExecutor, "_adjust_thread_count", scarce)
    send_parts(client, bytes(range(45)))
    assert client.object == bytes(range(45))
    assert client.numbers[-5:] == [1, 2, 3, 4, 5]
    assert begun or client.most == 1


def test_a_listing_holds_direct_members_only() -> None:
    found = webdav.entries(LISTING.encode(), "http://host/runs/")
    assert [(entry.name, entry.size, entry.etag) for entry in found] == [("a/", 0, ""), ("b c.ipynb", 3, '"x"')]
    assert found[1].modified == 784111777.0


@pytest.mark.fault(36)
@pytest.mark.parametrize("body", [b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', b"<html>", b"", b"\x00", WIDE])
def test_a_hostile_listing_is_refused(body: bytes) -> None:
    with pytest.raises(BadInputError):
        webdav.entries(body, "http://host/runs/")


@pytest.mark.parametrize(
    ("member", "size"),
    [("<href>/runs/x</href><getcontentlength>\u00b2</getcontentlength>", 0), ("<href>http://[</href>", None)],
)
def test_what_makes_no_sense_in_a_listing_ends_nothing(member: str, size: int | None) -> None:
    body = f'<multistatus xmlns="DAV:"><response>{member}</response></multistatus>'.encode()
    assert [entry.size for entry in webdav.entries(body, "http://host/runs/")] == ([] if size is None else [size])


def test_folders_above_a_resource() -> None:
    assert webdav.parents("/a/b/c.ipynb") == ["/a/", "/a/b/"]
    assert webdav.parents("/c.ipynb") == []


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:7f00:1::", "::ffff:0:7f00:1", "::ffff:0:169.254.169.254",
        "64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "::127.0.0.1", "::a00:1", "fec0::1", "192.88.99.1",
        "::ffff:192.88.99.1", "64:ff9b::c058:6301",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert addresses._is_private(address)


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "2852039166",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "100.100.100.200",
        "fe80::a9fe:a9fe",
    ],
)
def test_where_machines_ask_for_credentials_nothing_is_read_whatever_is_allowed(address: str) -> None:
    with pytest.raises(BadInputError, match="its own credentials"):
        addresses.checked_addresses(address, 80, allow_private=True)


@pytest.mark.parametrize("address", ["fe80::1", "192.168.1.5", "127.0.0.1"])
def test_a_private_address_is_asked_where_that_is_allowed(address: str) -> None:
    assert addresses.checked_addresses(address, 80, allow_private=True) == (address,)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_known(address: str) -> None:
    assert not addresses._is_private(address)


@pytest.mark.parametrize(
    ("status", "doing", "reference"),
    [
        (401, "reading a", "storage-denied"),
        (403, "writing a", "storage-denied"),
        (404, "reading a", "input-not-found"),
        (404, "writing a", "bad-input"),
        (409, "writing a", "output-conflict"),
        (412, "deleting a", "output-conflict"),
        (418, "reading a", "bad-input"),
    ],
)
def test_a_status_has_its_meaning(status: int, doing: str, reference: str) -> None:
    error = explained(status, doing, "the server's words")
    assert isinstance(error, NbstepError)
    assert error.reference == reference
    assert error.message.endswith(f"({status}: the server's words).")
    assert error.hint


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_passes_is_tried_again(status: int) -> None:
    assert isinstance(explained(status, "reading a"), TransientError)


def test_faults_happen_as_often_as_they_say() -> None:
    lost = StorageUnavailableError("lost")
    slept: list[float] = []
    faults = [
        Fault(operation="write", suffix=".json", error=lost, after=True),
        Fault(operation="read", delay=3.0, times=None),
    ]
    store = FaultyStore(MemoryStore(MemorySpace()), faults, sleep=slept.append)
    store.write("memory://b/a.ipynb", b"12")
    with pytest.raises(StorageUnavailableError):
        store.write("memory://b/a.json", b"123")
    assert store.read("memory://b/a.json").data == b"123"
    store.write("memory://b/a.json", b"1234")
    assert store.read("memory://b/a.json").data == b"1234"
    assert slept.count(3.0) == 2
    assert store.calls[:2] == [Call("write", "memory://b/a.ipynb", 2), Call("write", "memory://b/a.json", 3)]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 409, 410, 412, 413, 414, 418, 507])
@pytest.mark.parametrize("operation", ["reading", "writing", "checking", "listing", "deleting", "asking"])
def test_an_answer_is_told_with_the_object_it_is_about(status: int, operation: str) -> None:
    meaning = explained(status, f"{operation} s3://bucket/a b.ipynb")
    assert isinstance(meaning, NbstepError)
    assert re.search(
        r"(^| (for|is|of|no|reading|writing|checking|listing|deleting|asking) )s3://bucket/a b.ipynb", str(meaning)
    )


def test_every_operation_of_a_store_is_one_word_before_its_object() -> None:
    """What a store says of an answer takes the operation and the object apart at the first space."""
    room = Path(stores.__file__).parent
    said = {found for file in room.glob("*.py") for found in re.findall(r'call\(\s*f?"([^"]+)"', file.read_text())}
    assert said >= {"reading", "checking", "listing", "deleting", "asking"}
    assert {words for words in said if " " in words and not words.startswith("writing ")} == set()
