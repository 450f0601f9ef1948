"""What comes over HTTP is bounded in time."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from itertools import count, islice

import httpx
import pytest

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import http_answers, http_client, webdav
from nbstep_runner.stores.retrying import TransientError


class Pieces(httpx.SyncByteStream):
    """A body that comes a piece a second."""

    def __init__(self, size: int, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._piece, self._seconds = b"x" * size, seconds
        clock = count()
        monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))

    def __iter__(self) -> Iterator[bytes]:
        return (self._piece for _ in range(self._seconds))


def answer(stream: Pieces) -> httpx.Response:
    return httpx.Response(200, headers={"Transfer-Encoding": "chunked"}, stream=stream)


@pytest.mark.fault(56)
def test_a_body_that_trickles_is_given_up_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = http_client.pieces_of(answer(Pieces(1, 1_000_000, monkeypatch)))
    with pytest.raises(TransientError, match="only 61 bytes of the object arrived in 61 s"):
        list(islice(pieces, 1000))


def test_a_large_body_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    body = http_client.body_of(answer(Pieces(20_000, 7200, monkeypatch)))
    assert len(body) == 20_000 * 7200


WRONG_DATES = ("yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", f"Sun, {'9' * 30} Nov 1994 08:49:37 GMT", "9" * 5000)


@pytest.mark.parametrize("date", WRONG_DATES)
def test_a_date_that_is_none_is_not_known(date: str) -> None:
    assert http_answers.time_of(httpx.Response(200, headers={"Last-Modified": date})) is None
    listed = f"""<D:multistatus xmlns:D="DAV:"><D:response><D:href>/runs/a</D:href><D:propstat><D:prop>
        <D:getcontentlength>{"9" * 5000}</D:getcontentlength><D:getlastmodified>{date}</D:getlastmodified>
        </D:prop></D:propstat></D:response></D:multistatus>"""
    (entry,) = webdav.entries(listed.encode(), "https://store.example/runs/")
    assert (entry.name, entry.size, entry.modified) == ("a", 0, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": "x"},
        {"Content-MD5": "abcd"},
        {"Content-MD5": "\xe4"},
        {"Repr-Digest": "sha-256=:x:"},
        {"Content-Digest": "sha-256=:abcd=:"},
    ],
)
def test_a_digest_that_is_none_is_not_compared(headers: dict[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    http_answers.check_digests(httpx.Response(200, headers=encoded), b"{}")
    other = base64.b64encode(hashlib.md5(b"[]", usedforsecurity=False).digest()).decode()
    with pytest.raises(TransientError, match="its MD5 does not match"):
        http_answers.check_digests(httpx.Response(200, headers={"Content-MD5": other}), b"{}")


@pytest.mark.parametrize("target", ["http://[", "//[::1", "https://store.example:x/", "https://[::x]/"])
def test_a_redirect_to_no_address_is_refused(target: str) -> None:
    response = httpx.Response(302, headers={"Location": target})
    with pytest.raises(BadInputError):
        http_client._target(http_client.Ask(method="GET", uri="https://store.example/in.ipynb"), response)


def test_a_request_is_sent_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook may have started processes up to their limit, and its run's heartbeats have to go on."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(204))) as client:
        request = client.build_request("PUT", "https://store.example/record", content=b"{}")
        ask = http_client.Ask(method="PUT", uri=str(request.url), body=b"{}")
        assert http_client._answered(client, request, ask).status_code == 204
