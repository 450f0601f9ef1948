"""A run's log heard through a service: whatever breaks on the way, each line comes once and in order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.server.client import Service
from nbstep.backends.server.events import Event, Follower, events, lines_so_far
from nbstep.errors import ServiceUnavailableError
from nbstep.profiles import ServiceOptions
from nbstep_runner.errors import StorageUnavailableError
from support.answering import Answer, answering

STREAM = {"Content-Type": "text/event-stream"}
AWAY = {"title": "Service Unavailable", "status": 503, "detail": "away", "reference": "storage-unavailable"}
END = "event: end\ndata: {}\n\n"


def line(text: str, number: str = "") -> str:
    identity = f"id: {number}\n" if number else ""
    return f"{identity}event: line\ndata: {json.dumps({'message': text})}\n\n"


def whole(*parts: str) -> Answer:
    return 200, STREAM, "retry: 2000\n\n" + "".join(parts)


def cut(*parts: str) -> Answer:
    """A stream whose connection ends before it does."""
    body = "".join(parts)
    return 200, {**STREAM, "Content-Length": str(len(body) + 100)}, body


def followed(*answers: Answer, patience: float = 60.0) -> tuple[list[str], list[str | None]]:
    """The lines that come of these answers, and the last event that each request named."""
    with answering(*answers) as (url, asked):
        lines = Follower(Service(ServiceOptions(url=url), patience), "/events", {}).lines()
        return [json.loads(each)["message"] for each in lines if each is not None], [
            each.headers["Last-Event-ID"] for each in asked
        ]


def test_a_stream_goes_on_after_the_last_line_that_came_whole() -> None:
    had, named = followed(
        cut(line("a", "1-1"), line("b", "1-2"), 'id: 1-3\nevent: line\ndata: {"mess'),
        (503, {"Retry-After": "0"}, ""),
        whole(line("c", "1-3"), "event: state\ndata: {}\n\n: nothing new\n\n"),  # a server that ends
        whole(line("d", "2-1"), END),
    )
    assert (had, named) == (["a", "b", "c", "d"], [None, "1-2", "1-2", "1-3"])


def test_what_comes_again_is_passed_over() -> None:
    had, _ = followed(
        cut(line("a", "1-1"), line("crash"), line("crash")),
        whole(line("a", "1-1"), line("crash"), line("b", "1-2"), line("last words"), END),
    )
    assert had == ["a", "crash", "crash", "b", "last words"]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (whole(f"event: problem\ndata: {json.dumps(AWAY)}\n\n"), StorageUnavailableError, "away"),
        (whole("event: line\ndata: no json\n\n"), ServiceUnavailableError, "is no service of nbstep"),
        (whole("event: line\ndata: [1]\n\n"), ServiceUnavailableError, "is no service of nbstep"),
        (whole('event: line\ndata: {"message": "\x1b[31m"}\n\n'), ServiceUnavailableError, "is no service of nbstep"),
        (cut(), ServiceUnavailableError, "does not answer"),
        ((502, {}, "a proxy"), ServiceUnavailableError, "answers 502"),
    ],
)
def test_what_cannot_be_followed_is_said(answer: Answer, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        followed(answer, patience=0.1)


class Clock:
    """A clock on which nothing is waited for, and each reading is so many seconds after the one before."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_service_is_given_up_once_it_has_been_away_for_long_not_once_a_run_has_said_nothing_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nbstep.backends.server.client.time", Clock(200))
    quiet = cut(": nothing new\n\n")
    assert followed(quiet, quiet, whole(), whole(line("a", "1-1"), END), patience=120)[0] == ["a"]
    with pytest.raises(ServiceUnavailableError, match="answers 502"):
        followed(quiet, (502, {}, ""), patience=120)


def test_a_log_that_gets_on_is_read_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.backends.server.client.time", Clock(100))
    a, b, c = line("a", "1-1"), line("b", "1-2"), line("c", "1-3")
    with answering(cut(a), cut(a, b), cut(a, b, c), whole(a, b, c, END)) as (url, _):
        assert len(list(lines_so_far(Service(ServiceOptions(url=url), 120), "/events", {}))) == 3
    with answering(cut(a)) as (url, asked), pytest.raises(ServiceUnavailableError):
        list(lines_so_far(Service(ServiceOptions(url=url), 120), "/events", {}))
    assert len(asked) == 3


def test_what_a_service_answered_late_that_it_is_too_late_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.backends.server.client.time", Clock(150))
    with answering((504, {}, ""), (202, {}, "{}")) as (url, asked):
        assert Service(ServiceOptions(url=url), 120).post("/v1/runs", {}, content=b"{}") == b"{}"
    assert len(asked) == 2


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.backends.server.events.LONGEST_EVENT", 1000)
    with pytest.raises(ServiceUnavailableError, match="too long"):
        followed(whole("data: " + "x" * 2000))


def test_a_log_as_it_is_now_is_read_to_its_end_over_broken_connections() -> None:
    answers = (
        cut(line("b", "1-2"), line("last words")),
        whole(line("b", "1-2"), line("last words"), line("a", "1-1"), END),
    )
    with answering(*answers) as (url, asked):
        lines = list(lines_so_far(Service(ServiceOptions(url=url), 60), "/events", {"folder": "team"}))
    assert [json.loads(each)["message"] for each in lines] == ["b", "last words", "a"]
    assert {each.path for each in asked} == {"/events?folder=team&follow=false"}


@given(st.lists(st.sampled_from(["a", "ü", "x" * 50]), max_size=5), st.sampled_from(["\n", "\r\n"]), st.data())
def test_events_are_the_same_however_their_bytes_are_cut(texts: list[str], ending: str, data: st.DataObject) -> None:
    stream = "".join(f"id: 1-{n}\nevent: line\ndata: {text}\n\n" for n, text in enumerate(texts, 1))
    sent = (": comment\n\n" + stream + "event: line\ndata: cut").replace("\n", ending).encode()
    chunks = []
    while sent:
        length = data.draw(st.integers(1, len(sent)))
        chunks.append(sent[:length])
        sent = sent[length:]
    found = [event for event in events(chunks, "https://a.example") if event.name]
    assert found == [Event("line", text.encode(), f"1-{n}") for n, text in enumerate(texts, 1)]
