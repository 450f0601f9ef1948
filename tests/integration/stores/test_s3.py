"""S3: parts, servers that ignore conditions or do not know them, and what Amazon's service has."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.response import StreamingBody

import nbstep
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, OutputConflictError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import ABSENT, open_store
from servers import faultproxy
from servers.faultproxy import Kind
from servers.places import Place, within
from servers.s3 import S3Server, Strict
from support import notebooks


@pytest.fixture
def strict(s3_server: S3Server) -> Iterator[Strict]:
    """The checks around moto, as they were before when the test is over; nothing is known of the server."""
    before = s3_server.strict.honours_conditions, s3_server.strict.knows_conditions
    yield s3_server.strict
    s3_server.strict.honours_conditions, s3_server.strict.knows_conditions = before


def test_a_server_that_keeps_conditions_is_found_out_once(s3_place: Place, strict: Strict) -> None:
    store = s3_place.store()
    assert not store.conditional_write
    store.write(s3_place.uri(), b"1", if_version=ABSENT)
    assert store.conditional_write
    assert strict.honours_conditions
    before = len(s3_place.proxy.seen)
    store.write(s3_place.uri("b"), b"1", if_version=ABSENT)
    assert len(s3_place.proxy.seen) == before + 1
    assert not s3_place.store(conditional_writes=False).conditional_write  # what one store found out binds no other


@pytest.mark.parametrize("promise", ["honours_conditions", "knows_conditions"])
def test_a_server_without_conditions_is_said_to_be_so(s3_place: Place, strict: Strict, promise: str) -> None:
    setattr(strict, promise, False)
    store = s3_place.store()
    first = store.write(s3_place.uri(), b"1", if_version=ABSENT)
    assert not store.conditional_write
    with pytest.raises(OutputConflictError):
        store.write(s3_place.uri(), b"2", if_version=ABSENT)
    store.write(s3_place.uri(), b"22", if_version=first)
    with pytest.raises(OutputConflictError):
        store.write(s3_place.uri(), b"333", if_version=first)
    assert s3_place.truth() == b"22"


def test_amazon_is_known_to_keep_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert open_store("s3://bucket/a").conditional_write


def test_a_failed_upload_in_parts_leaves_no_parts(s3_server: S3Server, s3_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(40_000_000))
    s3_place.put(b"good")
    s3_place.proxy.add(Kind.STATUS, "PUT", path="partNumber=2", times=10_000)
    with pytest.raises(StorageUnavailableError):
        s3_place.store(1.5).write(s3_place.uri(), tmp_path / "large")
    bucket = urlsplit(s3_place.folder).netloc
    assert "Uploads" not in s3_server.client().list_multipart_uploads(Bucket=bucket)
    assert s3_place.truth() == b"good"


def test_a_part_that_fails_is_sent_again_not_the_whole(s3_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(40_000_000))
    s3_place.proxy.add(Kind.STATUS, "PUT", path="partNumber=2")
    s3_place.proxy.add(Kind.FLIP_REQUEST, "PUT", path="partNumber=3")
    s3_place.store().write(s3_place.uri(), tmp_path / "large")
    assert s3_place.truth() == (tmp_path / "large").read_bytes()
    assert len(s3_place.proxy.sent("PUT")) == 5


def test_a_large_object_replaces_only_its_version(s3_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20_000_000))
    store = s3_place.store()
    first = store.write(s3_place.uri(), b"1", if_version=ABSENT)
    store.write(s3_place.uri(), b"2")
    for condition in (ABSENT, first):
        with pytest.raises(OutputConflictError):
            store.write(s3_place.uri(), tmp_path / "large", if_version=condition)
    assert s3_place.truth() == b"2"


def test_the_checksum_of_any_object_is_known(s3_server: S3Server, s3_folder: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20_000_000))
    store = open_store(s3_folder)
    store.write(s3_folder + "large", tmp_path / "large")
    stat = store.stat(s3_folder + "large")
    assert stat is not None
    assert stat.checksum == f"sha256:{hashlib.sha256((tmp_path / 'large').read_bytes()).hexdigest()}"
    s3_server.client().put_object(Bucket=urlsplit(s3_folder).netloc, Key="foreign", Body=b"x")
    foreign = store.stat(s3_folder + "foreign")
    assert foreign is not None
    assert foreign.checksum == f"md5:{hashlib.md5(b'x', usedforsecurity=False).hexdigest()}"


@pytest.mark.fault(16)
def test_a_foreign_object_is_checked_by_its_etag(s3_server: S3Server, s3_place: Place) -> None:
    bucket = urlsplit(s3_place.folder).netloc
    s3_server.client().put_object(Bucket=bucket, Key="foreign.ipynb", Body=b"from another tool")
    s3_place.proxy.add(Kind.FLIP_ANSWER, "GET")
    assert s3_place.store().read(s3_place.uri("foreign.ipynb")).data == b"from another tool"
    assert re.search("MD5 does not match|did not match calculated checksum", s3_place.lines[0])


def test_an_object_stored_compressed_is_read_plain(s3_server: S3Server, s3_folder: str) -> None:
    bucket, data = urlsplit(s3_folder).netloc, gzip.compress(b"plain")
    s3_server.client().put_object(Bucket=bucket, Key="a", Body=data, ContentEncoding="gzip")
    assert open_store(s3_folder).read(s3_folder + "a").data == b"plain"


def test_a_listing_of_many_pages_is_whole(s3_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    names = [f"{number:03}.json" for number in range(7)]
    for name in names:
        s3_place.put(b"x", name)
    assert [stat.uri for stat in s3_place.store().list(s3_place.folder)] == [s3_place.uri(name) for name in names]


@pytest.mark.fault(19)
def test_a_bucket_that_is_denied_is_final(s3_server: S3Server, s3_folder: str) -> None:
    s3_server.strict.denied_buckets.add(urlsplit(s3_folder).netloc)
    with within(3.0), pytest.raises(StorageDeniedError, match=r"do not allow writing s3://.*AccessDenied"):
        open_store(s3_folder).write(s3_folder + "a", b"x")


@pytest.mark.usefixtures("no_credentials")
def test_no_credentials_are_told_of(s3_server: S3Server) -> None:
    options = StorageOptions(endpoint_url=s3_server.endpoint)
    with within(5.0), pytest.raises(StorageDeniedError, match="No credentials for S3"):
        open_store("s3://bucket/a", options).read("s3://bucket/a")


def test_one_store_serves_many_threads(s3_folder: str) -> None:
    store = open_store(s3_folder)
    threads = [threading.Thread(target=store.write, args=(f"{s3_folder}{turn}", b"x")) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(store.list(s3_folder))) == 8


@pytest.mark.fault(66)
@pytest.mark.parametrize(("folder", "at_once"), [("rclone_s3_folder", False), ("gateway_folder", True)])
def test_a_server_with_a_gap_is_not_said_to_replace_at_once(
    request: pytest.FixtureRequest, folder: str, at_once: bool
) -> None:
    """rclone's S3 has one: a reader of an object that is being replaced may find nothing."""
    place: str = request.getfixturevalue(folder)
    store = open_store(place)
    store.write(place + "a", b"x")
    assert store.atomic_replace is at_once


@pytest.mark.fault(66)
def test_a_listing_that_does_not_go_on_is_no_short_one(s3_place: Place) -> None:
    """A server of version 1 says that there is more, and not how to ask for it."""
    place = s3_place.store()
    place.write(s3_place.uri(), b"x")
    place._client.meta.events.register(  # type: ignore[attr-defined]  # the one way to come between
        "after-call.s3.ListObjectsV2", lambda parsed, **_: parsed.update(IsTruncated=True)
    )
    with pytest.raises(BadInputError, match="does not say how its listing goes on"):
        list(place.list(s3_place.folder))


def test_an_object_that_a_proxy_compressed_on_its_way_is_read(s3_place: Place) -> None:
    """Its digest is of what was written, and the mark of its entity tag is the proxy's."""
    version = s3_place.put(b"plain " * 100)
    store = s3_place.store()

    def compressed(parsed: dict[str, Any], **_: object) -> None:
        body = gzip.compress(parsed["Body"].read())
        parsed["Body"] = StreamingBody(io.BytesIO(body), len(body))
        parsed |= {"ContentEncoding": "gzip", "ETag": f"W/{parsed['ETag']}"}

    store._client.meta.events.register("after-call.s3.GetObject", compressed)  # type: ignore[attr-defined]  # as above
    blob = store.read(s3_place.uri())
    assert (blob.data, blob.version) == (b"plain " * 100, version)


@pytest.mark.parametrize("condition", [None, ABSENT])
def test_an_entity_tag_that_changes_after_the_write_is_the_one_that_is_kept(
    s3_place: Place, condition: str | None
) -> None:
    store = s3_place.store(conditional_writes=True)
    store._client.meta.events.register(  # type: ignore[attr-defined]  # as above
        "after-call.s3.PutObject", lambda parsed, **_: parsed.update(ETag='"of-the-upload"')
    )
    version = store.write(s3_place.uri(), b"x", if_version=condition)
    assert version == store.read(s3_place.uri()).version
    store.write(s3_place.uri(), b"y", if_version=version)
    assert store.verified


def _said(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


@pytest.mark.fault(66)
def test_an_error_in_an_answer_of_200_is_an_error(s3_place: Place, tmp_path: Path) -> None:
    """So Amazon says that parts could not be made one object, once it has begun to answer."""
    (tmp_path / "large").write_bytes(os.urandom(20 * 2**20))
    s3_place.put(b"good")
    s3_place.proxy.add(Kind.STATUS, "POST", "uploadId=", status=200, body=_said("InternalError"), times=2)
    store = s3_place.store()
    store.write(s3_place.uri(), tmp_path / "large")
    assert s3_place.truth() == (tmp_path / "large").read_bytes()
    assert len(s3_place.lines) >= 2
    s3_place.proxy.add(Kind.STATUS, "POST", "uploadId=", status=200, body=_said("InternalError"), times=1000)
    with pytest.raises(StorageUnavailableError, match="InternalError"):
        s3_place.store(1.0).write(s3_place.uri("never"), tmp_path / "large")
    assert s3_place.names() == ["a.ipynb"]


@pytest.mark.fault(66)
def test_a_service_that_asks_for_less_is_given_time(s3_place: Place) -> None:
    s3_place.proxy.add(Kind.STATUS, "PUT", status=503, body=_said("SlowDown"), headers={"Retry-After": "1"}, times=2)
    began = time.monotonic()
    s3_place.store().write(s3_place.uri(), b"x")
    assert time.monotonic() - began >= 2
    assert s3_place.truth() == b"x"
    assert "SlowDown" in s3_place.lines[0]


@pytest.mark.fault(66)
@pytest.mark.parametrize("condition", [None, ABSENT])
def test_a_redirect_to_where_the_bucket_is_by_now_is_followed(
    s3_server: S3Server, s3_place: Place, condition: str | None
) -> None:
    """Amazon answers so for a bucket that was just made: with 307, for the body to be sent again."""
    with faultproxy.running(s3_server.port) as elsewhere:
        uri = s3_place.uri()
        path = uri.removeprefix("s3:/")
        for method in ("PUT", "GET"):
            headers = {"Location": elsewhere.endpoint + path}
            s3_place.proxy.add(Kind.STATUS, method, status=307, body=_said("TemporaryRedirect"), headers=headers)
        store = s3_place.store(conditional_writes=True)
        store.write(uri, b"x" * 1000, if_version=condition)
        assert store.read(uri).data == s3_place.truth() == b"x" * 1000


def test_a_sweep_finds_its_server_out_once_and_not_in_each_run(s3_place: Place, tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "in.ipynb", [notebooks.Code("n: int = 0", tags=("parameters",))])
    done = nbstep.sweep(notebook, grid={"n": range(4)}, output=s3_place.uri("sweep"), jobs=1)
    assert done.exit_code == 0
    written = [unquote(seen.path) for seen in s3_place.proxy.seen if seen.method == "PUT"]
    assert [sum(f"/n={n}/" in path for path in written) for n in range(4)] == [7, 5, 5, 5]
