"""Google Cloud Storage: what the service has and others do not."""

from __future__ import annotations

import gzip
import os
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from google.cloud import storage

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import ABSENT, open_store
from servers.faultproxy import Kind
from servers.gcs import GcsServer
from servers.places import Place, within


def test_every_change_names_the_generation_that_it_replaces(gcs_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20_000_000))
    store = gcs_place.store()
    store.write(gcs_place.uri(), b"1")
    store.write(gcs_place.uri(), b"2")
    store.write(gcs_place.uri("large"), tmp_path / "large")
    gcs_place.store().delete(gcs_place.uri())
    starts = [seen for seen in gcs_place.proxy.seen if seen.method in {"POST", "DELETE"} and "/o" in seen.path]
    assert len(starts) >= 4
    assert all("ifGenerationMatch" in parse_qs(urlsplit(seen.path).query) for seen in starts)


def test_an_object_that_is_not_there_takes_one_request(gcs_place: Place) -> None:
    gcs_place.store().write(gcs_place.uri(), b"{}")
    assert [seen.method for seen in gcs_place.proxy.seen] == ["POST"]


def test_a_part_that_fails_is_sent_again_not_the_whole(gcs_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(50_000_000))
    gcs_place.proxy.add(Kind.STATUS, "PUT", times=2)
    gcs_place.proxy.add(Kind.DROP_ANSWER, "PUT")
    gcs_place.store().write(gcs_place.uri(), tmp_path / "large", if_version=ABSENT)
    assert gcs_place.truth() == (tmp_path / "large").read_bytes()
    sent = sum(seen.sent for seen in gcs_place.proxy.sent("PUT"))
    assert sent < 3 * 50_000_000
    assert len([seen for seen in gcs_place.proxy.sent("POST") if "uploadType=resumable" in seen.path]) == 1


@pytest.mark.fault(59)
@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_the_store_forgot_is_begun_anew(gcs_place: Place, tmp_path: Path, status: int) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20_000_000))
    gcs_place.proxy.add(Kind.STATUS, "PUT", status=status)
    gcs_place.store().write(gcs_place.uri(), tmp_path / "large", if_version=ABSENT)
    assert gcs_place.truth() == (tmp_path / "large").read_bytes()
    assert len([seen for seen in gcs_place.proxy.sent("POST") if "uploadType=resumable" in seen.path]) == 2
    assert "forgotten" in gcs_place.lines[0]


def test_a_listing_of_many_pages_is_whole(gcs_server: GcsServer, gcs_place: Place) -> None:
    names = [f"{number:03}.json" for number in range(7)]
    for name in names:
        gcs_place.put(b"x", name)
    gcs_place.proxy.add(Kind.STATUS, "GET", path="pageToken", times=1)
    gcs_server.state.page_size = 3
    try:
        listed = [stat.uri for stat in gcs_place.store().list(gcs_place.folder)]
    finally:
        gcs_server.state.page_size = 1000
    assert listed == [gcs_place.uri(name) for name in names]
    assert len(gcs_place.lines) == 1


@pytest.mark.fault(19)
def test_a_bucket_that_is_denied_names_the_account(gcs_server: GcsServer, gcs_folder: str) -> None:
    bucket = urlsplit(gcs_folder).netloc
    gcs_server.state.denied_buckets.add(bucket)
    with within(3.0), pytest.raises(StorageDeniedError, match=r"runner@project\.iam.*does not have storage"):
        open_store(gcs_folder).write(gcs_folder + "a", b"x", if_version=ABSENT)


@pytest.mark.fault(19)
def test_a_missing_bucket_is_told_of(gcs_folder: str) -> None:
    missing = gcs_folder.replace("nbstep-", "nbstep-no-")
    with within(3.0), pytest.raises(BadInputError, match="does not exist"):
        open_store(missing).write(missing + "a", b"x")


def test_a_requester_pays_bucket_needs_a_project(gcs_server: GcsServer, gcs_folder: str) -> None:
    gcs_server.state.requester_pays.add(urlsplit(gcs_folder).netloc)
    with within(5.0), pytest.raises(BadInputError, match="requester pays"):
        open_store(gcs_folder).write(gcs_folder + "a", b"x")
    store = open_store(gcs_folder, StorageOptions(project="billed"))
    version = store.write(gcs_folder + "a", b"x")
    assert store.read(gcs_folder + "a").version == version
    assert [stat.version for stat in store.list(gcs_folder)] == [version]
    store.delete(gcs_folder + "a")


@pytest.mark.usefixtures("no_credentials")
def test_no_credentials_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    with within(20.0), pytest.raises(StorageDeniedError, match="No Google credentials"):
        open_store("gs://bucket/a").read("gs://bucket/a")


def test_a_token_that_ran_out_is_renewed(gcs_server: GcsServer, gcs_folder: str) -> None:
    store = open_store(gcs_folder)
    store.write(gcs_folder + "a", b"1")
    gcs_server.state.tokens.clear()
    assert store.read(gcs_folder + "a").data == b"1"


def test_a_token_service_that_refuses_is_told_of(gcs_place: Place) -> None:
    """Its outage is waited out; its refusal is final."""
    gcs_place.proxy.add(Kind.STATUS, "POST", path="/upload", status=401, times=10_000)
    with within(5.0), pytest.raises(StorageDeniedError, match="does not accept the credentials"):
        gcs_place.store().write(gcs_place.uri(), b"x")


def _stored(folder: str, name: str, data: bytes) -> None:
    bucket = storage.Client(project="project").bucket(urlsplit(folder).netloc)
    blob = bucket.blob(name)
    blob.content_encoding = "gzip"
    blob.upload_from_string(data)


@pytest.fixture
def signed_in(gcs_folder: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket, and a client's own way to it with the credentials that the emulator takes."""
    import google.auth

    credentials, _ = google.auth.default(scopes=storage.Client.SCOPE)
    original = storage.Client.__init__

    def with_credentials(self: storage.Client, **arguments: object) -> None:
        original(self, **{"credentials": credentials, **arguments})

    monkeypatch.setattr(storage.Client, "__init__", with_credentials)
    return gcs_folder


def test_an_object_stored_compressed_is_read_plain(signed_in: str) -> None:
    gcs_folder = signed_in
    text = b'{"cells": []}' * 1000
    _stored(gcs_folder, "a.ipynb", gzip.compress(text))
    blob = open_store(gcs_folder).read(gcs_folder + "a.ipynb")
    assert blob.data == text
    stat = open_store(gcs_folder).stat(gcs_folder + "a.ipynb")
    assert stat is not None
    assert stat.version == blob.version


@pytest.mark.fault(36)
def test_a_decompression_bomb_is_refused_in_a_second(signed_in: str) -> None:
    gcs_folder = signed_in
    _stored(gcs_folder, "bomb.ipynb", gzip.compress(b"0" * 500_000_000, 1))
    store = open_store(gcs_folder)
    store.stat(gcs_folder + "bomb.ipynb")
    with within(1.0, time.process_time), pytest.raises(BadInputError, match="bomb"):
        store.read(gcs_folder + "bomb.ipynb")


@pytest.mark.fault(39)
def test_an_upload_session_is_in_no_message(gcs_place: Place, tmp_path: Path) -> None:
    """Who knows the identifier of a resumable upload may write the object."""
    (tmp_path / "large").write_bytes(os.urandom(9_000_000))
    gcs_place.proxy.add(Kind.STATUS, "PUT", times=10_000)
    with pytest.raises(StorageUnavailableError) as failed:
        gcs_place.store(1.0).write(gcs_place.uri(), tmp_path / "large")
    assert not re.search("upload_id", " ".join([str(failed.value), failed.value.context, *gcs_place.lines]))
