"""What comes over HTTP is bounded in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count, islice

import httpx
import pytest

from nbstep_runner.stores import http_client
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


def test_a_request_is_sent_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook may have started processes up to their limit, and its run's heartbeats have to go on."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(204))) as client:
        request = client.build_request("PUT", "https://store.example/record", content=b"{}")
        ask = http_client.Ask(method="PUT", uri=str(request.url), body=b"{}")
        assert http_client._answered(client, request, ask).status_code == 204
