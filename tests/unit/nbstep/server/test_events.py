"""A run's events: each line once and in order, wherever a client goes on."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbstep import Run
from nbstep.profiles.storage import store_of
from nbstep.server.config import Config
from nbstep.server.events import QUIET_SECONDS
from nbstep.server.following import Streams
from nbstep_runner.contract import RunResult, StorageOptions, decode, encode
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import sibling
from support import memory_runs
from support.processes import until
from support.service import TOKEN, Event, Service, config, events, listening

AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return memory_runs.submit()


def config_for(run: Run, **limits: Any) -> Config:
    folder = {"uri": run.output_uri.rpartition("/")[0].rpartition("/")[0], "profiles": ["small"]}
    return config(folders={"team": folder}, profiles={"small": {"on": "memory"}}, limits=limits)


def service_for(run: Run) -> Service:
    return Service.of(
        folders={"team": {"uri": run.output_uri.rpartition("/")[0].rpartition("/")[0], "profiles": ["small"]}},
        profiles={"small": {"on": "memory"}},
    )


def heard(run: Run, after: str = "") -> list[Event]:
    """All events of a run that has ended."""
    answer = service_for(run).get(f"/v1/runs/{run.id}/events", headers={"last-event-id": after} if after else {})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.text.startswith("retry: 2000\n\n")
    return list(events(answer.text.split("\n")))


def ids(found: list[Event]) -> list[str]:
    return [event.id for event in found if event.id is not None]


def log(run: Run, *numbers: tuple[int, int]) -> None:
    for attempt, seq in numbers:
        memory_runs.backend_of(run).log(run.handle, f"line {attempt}-{seq}", attempt=attempt, seq=seq)


def end(run: Run, *stored: tuple[int, int], attempt: int = 1) -> None:
    """Let the run end, with a stored log of these lines."""
    memory_runs.backend_of(run).end(run.handle)
    place = sibling(run.output_uri, ".result.json")
    store = store_of(place, StorageOptions())
    record = replace(decode(store.read(place).data, RunResult), attempt=attempt)
    if stored:
        lines = [json.dumps({"message": "stored", "attempt": one, "seq": seq}).encode() for one, seq in stored]
        store.write(sibling(run.output_uri, ".log.jsonl"), b"\n".join(lines))
        record = replace(record, log_uri=sibling(run.output_uri, ".log.jsonl"))
    store.write(place, encode(record))


def test_a_runs_events_end_with_how_it_ended(run: Run) -> None:
    log(run, (1, 1), (1, 2))
    memory_runs.backend_of(run).end(run.handle, results={"x": 1})
    found = heard(run)
    lines = [event for event in found if event.name == "line"]
    assert ids(found) == ["1-1", "1-2"]
    assert lines[0].data == {"message": "line 1-1", "attempt": 1, "seq": 1}
    assert [event.name for event in found if event.name != "line"] == ["state", "end"]
    assert (found[-1].data["state"], found[-1].data["exit_code"]) == ("succeeded", 0)


@pytest.mark.parametrize("count", range(6))
def test_a_client_goes_on_after_what_it_has_had(run: Run, count: int) -> None:
    log(run, *((1, seq) for seq in range(1, 6)))
    memory_runs.backend_of(run).end(run.handle)
    after = f"1-{count}" if count else ""
    assert ids(heard(run, after)) == [f"1-{seq}" for seq in range(count + 1, 6)]
    asked = service_for(run).get(f"/v1/runs/{run.id}/events", params={"after": after})
    assert ids(list(events(asked.text.split("\n")))) == [f"1-{seq}" for seq in range(count + 1, 6)]
    both = service_for(run).get(f"/v1/runs/{run.id}/events?after=1-1", headers={"last-event-id": "1-4"})
    assert ids(list(events(both.text.split("\n")))) == ["1-5"], "where a browser goes on, the header counts"


@pytest.mark.parametrize("text", ["1", "1-0", "0-1", "a-b", "1-1-1", "-1-1", "1-1 ", f"1-{10**30}"])
def test_an_id_of_no_event_is_refused(run: Run, text: str) -> None:
    answer = service_for(run).get(f"/v1/runs/{run.id}/events", headers={"last-event-id": text})
    assert (answer.status_code, answer.json()["reference"]) == (400, "usage")


@pytest.mark.parametrize(
    ("came", "stored", "told"),
    [
        ([(1, 1), (1, 2), (1, 5), (1, 6)], [(1, seq) for seq in range(1, 8)], [(1, seq) for seq in range(1, 8)]),
        ([(1, 1), (1, 4), (1, 5)], [], [(1, 1), (1, 4), (1, 5)]),
        ([(1, 3), (1, 4)], [(1, 1), (1, 2), (1, 3), (1, 4)], [(1, 1), (1, 2), (1, 3), (1, 4)]),
        ([(1, 1), (1, 3), (2, 1), (2, 2)], [], [(1, 1), (1, 3), (2, 1), (2, 2)]),
        ([(1, 1), (2, 1), (2, 3)], [(2, 1), (2, 2), (2, 3)], [(1, 1), (2, 1), (2, 2), (2, 3)]),
    ],
)
def test_lines_that_came_with_gaps_are_told_in_order(
    run: Run, came: list[tuple[int, int]], stored: list[tuple[int, int]], told: list[tuple[int, int]]
) -> None:
    """As of a cluster that rotates its logs: else a client that comes again would miss lines or get them twice."""
    log(run, *came)
    end(run, *stored, attempt=came[-1][0])
    expected = [f"{attempt}-{seq}" for attempt, seq in told]
    assert ids(heard(run)) == expected
    for count in range(1, len(told)):
        assert ids(heard(run, expected[count - 1])) == expected[count:]


def test_a_log_that_is_stored_alone_is_told_as_it_is(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    end(run, (1, 1), (1, 2))
    backend.forget(run.handle)
    assert [event.id for event in heard(run) if event.name == "line"] == ["1-1", "1-2"]


def test_lines_without_a_number_come_where_they_are(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    log(run, (1, 1))
    backend.log(run.handle, "words", seq=None)
    log(run, (1, 2))
    backend.end(run.handle)
    assert [event.id for event in heard(run) if event.name == "line"] == ["1-1", None, "1-2"]
    assert [event.id for event in heard(run, "1-1") if event.name == "line"] == [None, "1-2"]
    assert [event.id for event in heard(run, "1-2") if event.name == "line"] == []


def test_an_attempt_that_was_begun_again_under_its_number_loses_no_line(run: Run) -> None:
    log(run, (1, 1), (1, 2), (1, 1), (1, 2), (1, 3))
    memory_runs.backend_of(run).end(run.handle)
    lines = [event for event in heard(run) if event.name == "line"]
    assert len(lines) == 5
    assert ids(lines) == ["1-1", "1-2", "1-3"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"message": "a",\revent: end\rdata: {"state": "succeeded"}\r\r"attempt": 1, "seq": 1}',
        b"words\rid: 9-9\revent: end\rdata: {}\r\r",
        b'"text"',
        b"\xff\xfe",
        b"",
        b"[1, 2",
    ],
)
def test_a_line_of_a_log_cannot_forge_an_event(run: Run, raw: bytes) -> None:
    backend = memory_runs.backend_of(run)
    backend._runs[run.handle].lines.append(raw)
    log(run, (1, 2))
    backend.end(run.handle)
    answer = service_for(run).get(f"/v1/runs/{run.id}/events")
    as_a_browser = answer.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = list(events(as_a_browser))
    assert sorted(event.name for event in found) == ["end", "line", "line", "state"]
    assert found[-1].data["state"] == "succeeded"
    assert all(isinstance(event.data["message"], str) for event in found if event.name == "line")


class Client:
    """A client that takes events one by one."""

    def __init__(self, url: str, after: str = "") -> None:
        self._entered = ExitStack()
        headers = AUTHORIZED | ({"last-event-id": after} if after else {})
        client = self._entered.enter_context(httpx.Client(timeout=30, trust_env=False))
        self.answer = self._entered.enter_context(client.stream("GET", url, headers=headers))
        self._events = events(self.answer.iter_lines())

    def take(self, count: int) -> list[str]:
        """The ids of so many more lines."""
        found: list[str] = []
        while len(found) < count:
            found += ids([next(self._events)])
        return found

    def rest(self) -> list[Event]:
        return list(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()


def threads_of(run: Run) -> int:
    return sum(thread.name == f"nbstep-events-{run.id}" for thread in threading.enumerate())


@pytest.mark.fault(62)
def test_a_server_that_ends_in_mid_stream_is_gone_on_from_at_another(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    log(run, (1, 1), (1, 2), (1, 3))
    with listening(config_for(run)) as (url, _), Client(f"{url}/v1/runs/{run.id}/events") as client:
        had = client.take(2)
    log(run, (1, 4))
    with listening(config_for(run)) as (url, _), Client(f"{url}/v1/runs/{run.id}/events", after=had[-1]) as client:
        had += client.take(2)
        log(run, (1, 5))
        had += client.take(1)
        backend.end(run.handle)
        assert [event.name for event in client.rest()][-1] == "end"
    assert had == [f"1-{seq}" for seq in range(1, 6)]


def test_a_server_that_ends_lets_no_stream_keep_it(run: Run) -> None:
    memory_runs.backend_of(run).begin(run.handle)
    log(run, (1, 1))
    with ExitStack() as entered:
        with listening(config_for(run)) as (url, _):
            client = entered.enter_context(Client(f"{url}/v1/runs/{run.id}/events"))
            assert client.take(1) == ["1-1"]
            begun = time.monotonic()
        assert time.monotonic() - begun < QUIET_SECONDS / 2
        assert "end" not in [event.name for event in client.rest()]


def test_many_listeners_follow_a_run_once_and_a_quiet_run_keeps_one_thread(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    log(run, (1, 1))
    with listening(config_for(run)) as (url, streams):
        place = f"{url}/v1/runs/{run.id}/events"
        with ExitStack() as entered:
            clients = [entered.enter_context(Client(place)) for _ in range(20)]
            assert {tuple(client.take(1)) for client in clients} == {("1-1",)}
            assert (streams.count, threads_of(run)) == (20, 1)
        assert until(lambda: streams.count == 0, 120)
        for _ in range(5):
            with Client(place) as client:
                assert client.take(1) == ["1-1"]
        assert until(lambda: streams.count == 0, 120)
        assert threads_of(run) <= 1
        log(run, (1, 2))
        assert until(lambda: threads_of(run) == 0, 120), "a run is followed for nobody"
        with Client(place) as client:
            assert client.take(2) == ["1-1", "1-2"]
            backend.end(run.handle)
            client.rest()


@pytest.mark.timeout(60)
@pytest.mark.fault(62)
def test_a_reader_that_takes_nothing_is_dropped_and_harms_no_other(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    with listening(config_for(run, stalled_seconds=0.5)) as (url, streams):
        place, parts = f"/v1/runs/{run.id}/events", urlsplit(url)
        with socket.socket() as stalled, Client(url + place) as client:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((parts.hostname, parts.port))
            stalled.sendall(
                f"GET {place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
            assert until(lambda: streams.count == 2, 120)
            count = 300
            for seq in range(1, count + 1):
                backend.log(run.handle, "x" * 60_000, seq=seq)
            assert client.take(count) == [f"1-{seq}" for seq in range(1, count + 1)]
            assert until(lambda: streams.count == 1, 120), "the reader that takes nothing is still waited for"
            backend.end(run.handle)
            client.rest()


def test_a_stream_too_many_is_told_when_to_come_again(run: Run) -> None:
    memory_runs.backend_of(run).begin(run.handle)
    log(run, (1, 1))
    with listening(config_for(run, streams=1)) as (url, _), Client(f"{url}/v1/runs/{run.id}/events") as client:
        client.take(1)
        refused = httpx.get(f"{url}/v1/runs/{run.id}/events", headers=AUTHORIZED, trust_env=False)
        assert (refused.status_code, refused.json()["reference"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0


def test_a_log_that_cannot_be_followed_is_told_and_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)

    def fail(*_: object, **__: object) -> None:
        raise StorageUnavailableError("the store is away")

    with listening(config_for(run)) as (url, _):
        with monkeypatch.context() as broken:
            broken.setattr(type(run), "lines", fail)
            with Client(f"{url}/v1/runs/{run.id}/events") as client:
                (*_, last) = client.rest()
        assert (last.name, last.data["reference"], last.data["detail"]) == (
            *("problem", "storage-unavailable"),
            "the store is away",
        )
        log(run, (1, 1))
        with Client(f"{url}/v1/runs/{run.id}/events") as client:
            assert client.take(1) == ["1-1"]
            backend.end(run.handle)
            client.rest()


def test_only_a_head_is_sent_where_only_a_head_is_asked_for(run: Run) -> None:
    answer = service_for(run).request("HEAD", f"/v1/runs/{run.id}/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert service_for(run).get("/v1/runs/nobodys/events").status_code == 404


NUMBERS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), min_size=1, max_size=18)


@given(numbers=NUMBERS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_comes_every_number_is_told_once_and_they_rise(
    numbers: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ordered = sorted(set(numbers))
    run = memory_runs.submit(run_id=f"run-{secrets.token_hex(4)}", runs=f"memory://{secrets.token_hex(4)}/runs")
    log(run, *ordered)
    memory_runs.backend_of(run).end(run.handle)
    assert ids(heard(run)) == [f"{attempt}-{seq}" for attempt, seq in ordered]


def test_a_log_as_it_is_ends_at_once(run: Run) -> None:
    log(run, (1, 1), (1, 2))
    answer = service_for(run).get(f"/v1/runs/{run.id}/events?follow=false")
    assert [(event.name, event.id) for event in events(answer.text.split("\n"))] == [
        ("line", "1-1"),
        ("line", "1-2"),
        ("end", None),
    ]
    refused = service_for(run).get(f"/v1/runs/{run.id}/events?follow=no")
    assert (refused.status_code, refused.json()["reference"]) == (400, "usage")


@pytest.mark.slow
def test_nobody_is_followed_for_listeners_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = f"memory://{secrets.token_hex(4)}/runs"
    runs = [memory_runs.submit(runs=folder) for _ in range(50)]

    def followers() -> set[str]:
        return {each.name for each in threading.enumerate() if each.name.startswith("nbstep-events-")}

    with listening(config_for(runs[0])) as (url, streams):
        with ExitStack() as opened:
            for run in runs:
                memory_runs.backend_of(run).begin(run.handle)
                client = opened.enter_context(Client(f"{url}/v1/runs/{run.id}/events"))
                assert next(client._events).name == "state"
            assert streams.count == 50
            assert followers() == {f"nbstep-events-{run.id}" for run in runs}
        assert until(lambda: streams.count == 0 and not followers(), 120)
        with Client(f"{url}/v1/runs/{runs[0].id}/events") as client:  # whoever comes again is told all
            log(runs[0], (1, 1))
            assert client.take(1) == ["1-1"]


def test_a_log_as_it_is_takes_its_place_among_the_streams(run: Run) -> None:
    log(run, (1, 1))
    with listening(config_for(run, streams=1)) as (url, _):
        memory_runs.backend_of(run).begin(run.handle)
        with Client(f"{url}/v1/runs/{run.id}/events") as client:
            assert client.take(1) == ["1-1"]
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = httpx.get(f"{url}/v1/runs/{run.id}/events?follow=false", headers=headers)
            assert (answer.status_code, answer.json()["reference"]) == (503, "busy")


def test_whoever_comes_just_after_the_last_one_left_is_told_of_no_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of a run that is known by its record alone ends before the run does."""
    memory_runs.backend_of(run).begin(run.handle)
    monkeypatch.setattr(Run, "lines", lambda *_, **__: iter(()))
    streams = Streams(5)

    def ring() -> None:
        """Nothing is to be done."""

    with streams.listening("key", run, ring) as following:
        waiting = following._ended
        assert until(lambda: bool(waiting._cond._waiters), 120)  # type: ignore[attr-defined]  # nothing else tells it
        with streams._lock:
            following.leave(ring)
            following.join(ring)
        assert not until(lambda: following.complete, 0.5)
        memory_runs.backend_of(run).end(run.handle)
        assert until(lambda: following.complete, 120)


def test_one_that_was_followed_before_takes_nothing_from_its_follower(run: Run) -> None:
    streams = Streams(5)
    with streams.listening("key", run, lambda: None) as before:
        assert threads_of(run) == 1
    assert until(lambda: threads_of(run) == 0, 120)
    with streams.listening("key", run, lambda: None) as first:
        streams._drop("key", before)
        with streams.listening("key", run, lambda: None) as second:
            assert second is first is not before
