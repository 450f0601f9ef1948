"""What networks and services do to requests, on every store that speaks HTTP."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from nbstep_runner.errors import InputNotFoundError, OutputConflictError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import ABSENT
from servers.faultproxy import Kind
from servers.places import Place, within

OBJECT = os.urandom(200_000)
WRITES = "PUT|POST"


@pytest.mark.fault(15)
@pytest.mark.parametrize("burst", [(429, 500), (502, 503)], ids=str)
def test_a_burst_of_errors_is_waited_out(place: Place, burst: tuple[int, ...]) -> None:
    store = place.store()
    for method in ("GET", "HEAD", WRITES, "DELETE"):
        for status in burst:
            place.proxy.add(Kind.STATUS, method, status=status)
    version = store.write(place.uri(), OBJECT, if_version=ABSENT)
    assert store.read(place.uri()).data == OBJECT
    stat = store.stat(place.uri())
    assert stat is not None
    assert stat.version == version
    store.delete(place.uri())
    assert place.names() == []
    met = sum(1 - fault.times for fault in place.proxy.faults)
    assert met / 2 <= len(place.lines) <= met  # what only finds out a server's habits goes on without the answer
    assert all("trying again in" in line and any(str(status) in line for status in burst) for line in place.lines)


@pytest.mark.fault(15)
def test_the_server_is_left_alone_as_long_as_it_asks(place: Place) -> None:
    place.put(b"{}")
    place.proxy.add(Kind.STATUS, "GET", status=429, headers={"Retry-After": "1"})
    place.store().read(place.uri())
    assert "in 1.0 s" in place.lines[0]


@pytest.mark.fault(15)
def test_an_outage_ends_within_the_budget(place: Place) -> None:
    place.put(b"good")
    place.proxy.add(Kind.STATUS, times=10_000, status=503)
    store = place.store(2.0)
    for operation in (store.read, store.stat, lambda uri: store.write(uri, b"new")):
        with within(2.5), pytest.raises(StorageUnavailableError, match=r"failed: .*503.*tried"):
            operation(place.uri())
    assert place.truth() == b"good"


@pytest.mark.fault(16)
@pytest.mark.parametrize("kind", [Kind.TRUNCATE, Kind.DROP_ANSWER, Kind.REFUSE])
def test_a_download_that_was_cut_is_done_again(place: Place, kind: Kind) -> None:
    place.put(OBJECT)
    place.proxy.add(kind, "GET", times=2)
    assert place.store().read(place.uri()).data == OBJECT
    assert len(place.lines) == 2


@pytest.mark.fault(16)
def test_a_flipped_bit_in_a_download_is_found(cloud: Place) -> None:
    cloud.put(OBJECT)
    cloud.proxy.add(Kind.FLIP_ANSWER, "GET", times=2)
    assert cloud.store().read(cloud.uri()).data == OBJECT
    assert all("damaged" in line for line in cloud.lines)
    assert len(cloud.lines) == 2


@pytest.mark.fault(16)
def test_a_digest_of_a_web_server_is_compared(web_place: Place) -> None:
    web_place.put(OBJECT)
    web_place.proxy.add(Kind.LIE, "GET", headers={"Repr-Digest": f"sha-256=:{b64encode(bytes(32)).decode()}:"})
    assert web_place.store().read(web_place.uri()).data == OBJECT
    assert "SHA-256 does not match" in web_place.lines[0]


@pytest.mark.fault(16)
def test_a_flipped_bit_in_an_upload_is_found(place: Place) -> None:
    """Stores verify checksums before they take the object; what a web server took is read back and sent again."""
    place.put(b"good")
    place.proxy.add(Kind.FLIP_REQUEST, WRITES, times=2)
    place.store().write(place.uri(), OBJECT)
    assert place.truth() == OBJECT
    assert len(place.lines) >= 1


@pytest.mark.fault(16)
def test_what_a_store_verifies_never_replaces_a_good_object(cloud: Place) -> None:
    cloud.put(b"good")
    cloud.proxy.add(Kind.FLIP_REQUEST, WRITES, times=10_000)
    with pytest.raises(StorageUnavailableError):
        cloud.store(1.0).write(cloud.uri(), OBJECT)
    assert cloud.truth() == b"good"


@pytest.mark.fault(17)
@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_lost_after_the_commit_is_success(place: Place, times: int) -> None:
    store = place.store()
    store.write(place.uri("first.json"), b"1", if_version=ABSENT)  # so that the server is known
    place.proxy.add(Kind.DROP_ANSWER, WRITES, times=times)
    version = store.write(place.uri(), OBJECT, if_version=ABSENT)
    assert place.truth() == OBJECT
    stat = store.stat(place.uri())
    assert stat is not None
    assert stat.version == version


@pytest.mark.fault(17)
def test_an_answer_lost_in_replacing_is_success(place: Place) -> None:
    store = place.store()
    first = store.write(place.uri(), b"first", if_version=ABSENT)
    place.proxy.add(Kind.DROP_ANSWER, WRITES)
    second = store.write(place.uri(), b"the second", if_version=first)
    store.write(place.uri(), b"and a third one", if_version=second)
    assert place.truth() == b"and a third one"


@pytest.mark.fault(17)
def test_a_lost_answer_of_a_large_object_is_success(cloud: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(OBJECT * 200)
    for _ in range(3):
        cloud.proxy.add(Kind.DROP_ANSWER, WRITES)
        cloud.proxy.add(Kind.STATUS, WRITES)
    cloud.store().write(cloud.uri(), tmp_path / "large", if_version=ABSENT)
    assert cloud.truth() == OBJECT * 200


@pytest.mark.fault(17)
def test_a_lost_answer_of_a_delete_is_success(place: Place) -> None:
    version = place.put(b"1")
    place.proxy.add(Kind.DROP_ANSWER, "DELETE")
    place.store().delete(place.uri(), if_version=version)
    assert place.names() == []


@pytest.mark.fault(24)
def test_a_lost_answer_is_not_taken_for_the_others_object(cloud: Place) -> None:
    """The request never arrived, and another writer created the object before it was sent again."""
    store = cloud.store()
    store.write(cloud.uri("first.json"), b"1", if_version=ABSENT)  # so that the server is known
    cloud.on_retry = lambda: cloud.put(b"theirs")
    cloud.proxy.add(Kind.REFUSE, WRITES)
    with pytest.raises(OutputConflictError):
        store.write(cloud.uri(), b"ours", if_version=ABSENT)
    assert cloud.truth() == b"theirs"


@pytest.mark.fault(18)
def test_a_stalled_download_is_given_up_and_done_again(place: Place) -> None:
    place.put(OBJECT)
    place.proxy.add(Kind.STALL, "GET")
    with within(9.0):
        assert place.store(12.0).read(place.uri()).data == OBJECT
    assert "stalled" in place.lines[0]


@pytest.mark.fault(18)
def test_a_stalled_upload_is_given_up_and_done_again(cloud: Place) -> None:
    cloud.proxy.add(Kind.HANG, WRITES)
    with within(9.0):
        cloud.store(12.0).write(cloud.uri(), OBJECT)
    assert cloud.truth() == OBJECT
    assert "stalled" in cloud.lines[0]


@pytest.mark.fault(18)
def test_a_partition_is_waited_out(place: Place) -> None:
    place.put(OBJECT)
    place.proxy.add(Kind.REFUSE, times=5)
    assert place.store().read(place.uri()).data == OBJECT
    assert len(place.lines) == 5


@pytest.mark.fault(19)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_final_and_says_what_was_refused(place: Place, status: int) -> None:
    place.proxy.add(Kind.STATUS, times=10_000, status=status)
    with within(3.0), pytest.raises(StorageDeniedError, match=str(status)) as refused:
        place.store().write(place.uri(), b"x", if_version=ABSENT)
    assert refused.value.hint
    assert place.lines == []


@pytest.mark.fault(19)
def test_the_body_of_a_404_is_no_object(place: Place) -> None:
    place.proxy.add(Kind.STATUS, "GET", times=10_000, status=404)
    place.put(b"there")
    with pytest.raises(InputNotFoundError, match=r"There is no .*a\.ipynb"):
        place.store().read(place.uri())


@pytest.mark.fault(20)
def test_bytes_and_version_are_of_one_object(place: Place) -> None:
    """The object is replaced after half of it was read: what comes back is one whole object and its own version."""
    place.put(OBJECT)
    place.on_retry = lambda: place.put(b"replaced meanwhile")
    place.proxy.add(Kind.TRUNCATE, "GET")
    blob = place.store().read(place.uri())
    assert blob.data == b"replaced meanwhile"
    stat = place.store().stat(place.uri())
    assert stat is not None
    assert blob.version == stat.version
