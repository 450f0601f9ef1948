"""Lines that come in pieces, twice or not at all are shown once each, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Timer
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.kubernetes import follow
from nbstep.backends.kubernetes.api.cluster import Cluster
from nbstep.backends.kubernetes.diagnose import termination
from nbstep.backends.kubernetes.follow import Follower, PodLog
from nbstep.backends.kubernetes.names import JobName
from nbstep.runs.log import Seen, complete, stored_log
from nbstep.views.log_lines import LogLine, for_people, notice, parse
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from support.records import run_record


def numbered(count: int, attempt: int = 1) -> bytes:
    lines = [b'{"message":"%d","attempt":%d,"seq":%d}\n' % (n, attempt, n) for n in range(1, count + 1)]
    return b"".join(lines)


class BreakingCluster:
    """Serves one pod's log through connections that end where they are told to, in the cluster's own way.

    ``since`` shows what a cluster gives: everything that is not older, which here is a part of the log.
    """

    def __init__(self, log: bytes, cuts: list[int], overlap: int) -> None:
        self._log, self._cuts, self._overlap = log, cuts, overlap
        self._sent = 0

    def job(self, _namespace: str, _name: str) -> dict[str, Any]:
        return {"metadata": {"uid": "j"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}

    def pods(self, _namespace: str, _selector: str) -> list[dict[str, Any]]:
        return [self.pod("", "")]

    def pod(self, _namespace: str, _name: str) -> dict[str, Any]:
        ended = {"terminated": {"exitCode": 0}}
        state = ended if not self._cuts else {"running": {}}
        containers = [{"name": "nbstep"}]
        return {
            "metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": containers},
            "status": {"containerStatuses": [{"name": "nbstep", "state": state}]},
        }

    def log(self, _namespace: str, _pod: str, *, follow: bool, since_seconds: int | None = None) -> Any:
        begin = 0
        if since_seconds is not None:
            begin = self._log.rfind(b"\n", 0, max(0, self._sent - self._overlap)) + 1
        end = self._cuts.pop(0) if follow and self._cuts else len(self._log)
        self._sent = max(self._sent, end)
        data = self._log[begin:end]
        yield from (data[at : at + 7] for at in range(0, len(data), 7))


@given(st.integers(1, 60), st.lists(st.integers(0, 2500), max_size=5), st.integers(-400, 400))
@pytest.mark.fault(27)
def test_connections_that_break_anywhere_lose_and_repeat_nothing(count: int, cuts: list[int], overlap: int) -> None:
    log = numbered(count)
    cluster = BreakingCluster(log, [min(cut, len(log)) for cut in sorted(cuts)], overlap)
    follower = Follower(cast("Cluster", cluster), JobName("c", "n", "r"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "LOOK_SECONDS", 0.0)
        assert [line for line in follower.lines(follow=True) if line is not None] == log.splitlines()


@pytest.mark.fault(48)
def test_a_line_nested_as_deep_as_nothing_of_ours_is_a_line_like_any_other() -> None:
    deep = b"[" * 100_000
    assert parse(deep).message.startswith("[[[")
    assert PodLog().fresh(deep, again=False)
    ended = {"terminated": {"exitCode": 3, "message": deep.decode()}}
    pod = {
        "spec": {"containers": [{"name": "nbstep"}]},
        "status": {"containerStatuses": [{"name": "nbstep", "state": ended}]},
    }
    found = termination(pod)
    assert found is not None
    assert found.words.startswith("[[[")


def test_a_connection_that_ends_at_once_is_not_made_again_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("nbstep.backends.kubernetes.follow.time.sleep", pauses.append)
    log = numbered(3)
    cluster = BreakingCluster(log, [0, 0, 0, len(log)], 0)
    follower = Follower(cast("Cluster", cluster), JobName("c", "n", "r"))
    assert [line for line in follower.lines(follow=True) if line is not None] == log.splitlines()
    assert pauses.count(follow.LOOK_SECONDS) >= 3


def test_lines_that_are_not_the_runners_come_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(follow, "LOOK_SECONDS", 0.0)
    log = b"cannot start\ncannot start\nTraceback\n"
    cluster = BreakingCluster(log, [len(log)], 10_000)
    follower = Follower(cast("Cluster", cluster), JobName("c", "n", "r"))
    assert [line for line in follower.lines(follow=True) if line is not None] == log.splitlines()


@given(st.sets(st.integers(1, 40), max_size=40))
def test_what_has_not_come_is_known(missing: set[int]) -> None:
    seen = Seen()
    lines = [LogLine(message=str(n), attempt=1, seq=n, event="run-finished" if n == 40 else None) for n in range(1, 41)]
    for line in lines:
        if line.seq not in missing:
            seen.add(line)
    assert [line.seq for line in lines if not seen.has(line)] == sorted(missing)
    assert seen.whole is (not missing)


def test_a_stored_log_that_comes_a_moment_after_the_record_is_waited_for() -> None:
    store = MemoryStore(MemorySpace())
    record = run_record(
        input_uri="memory://runs/input.ipynb",
        output_uri="memory://runs/output.ipynb",
        log_uri="memory://runs/output.log.jsonl",
    )
    Timer(0.2, store.write, ("memory://runs/output.log.jsonl", numbered(3))).start()
    stored = partial(stored_log, store, record.output_uri, read_record=lambda: record)
    shown = [line.message for line in complete([], "r", lambda: 1, stored)]
    assert shown == ["1", "2", "3"]


def test_what_is_read_from_the_stored_log_is_told_apart_from_what_came() -> None:
    came = lines_of(1, range(1, 3), ended=False)
    shown = [line.message for line in complete(came, "r", lambda: 1, lambda _: numbered(3))]
    assert shown == ["1.1", "1.2", "1 lines that had not come are read from the stored log", "3"]


def lines_of(attempt: int, numbers: range, *, ended: bool = True) -> list[LogLine]:
    last = numbers[-1] if ended and numbers else None
    return [
        LogLine(message=f"{attempt}.{n}", attempt=attempt, seq=n, event="run-finished" if n == last else None)
        for n in numbers
    ]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 3))
@pytest.mark.fault(27)
def test_attempts_whose_pods_are_gone_are_read_from_their_stored_logs(came: list[int], silent: int) -> None:
    """Of each attempt only the first lines came, or none; ``silent`` attempts after the last one told nothing."""
    whole = {number: lines_of(number, range(1, 7)) for number in range(1, len(came) + silent + 1)}
    logs = {number: b"".join(msgspec.json.encode(line) + b"\n" for line in lines) for number, lines in whole.items()}
    received = [line for number, count in enumerate(came, 1) for line in whole[number][:count]]
    shown = complete(received, "r", lambda: len(whole), lambda number: logs[number])
    told = [(line.attempt, line.seq) for line in shown if line.event != "notice"]
    assert told == [(number, seq) for number in whole for seq in range(1, 7)]


LOG_PLACES: dict[str, Callable[[MemoryStore, str], object]] = {
    "moved aside by the next attempt": lambda store, name: store.write(f"{name}.attempts/1.log.jsonl", numbered(3)),
    "still in the run's own place": lambda store, name: store.write(f"{name}.log.jsonl", numbered(3)),
}


@pytest.mark.parametrize(("place", "newest"), [(place, newest) for newest, place in enumerate(reversed(LOG_PLACES), 1)])
def test_the_stored_log_of_an_attempt_is_found(place: str, newest: int) -> None:
    store, name = MemoryStore(MemorySpace()), "memory://runs/output"
    LOG_PLACES[place](store, name)
    if newest == 2:
        store.write(f"{name}.log.jsonl", numbered(5, attempt=2))
    record = run_record(output_uri=f"{name}.ipynb", log_uri=f"{name}.log.jsonl", attempt=newest)
    assert stored_log(store, record.output_uri, 1, lambda: record) == numbered(3)


def test_lines_for_people_drive_no_terminal() -> None:
    line = parse(notice("r", "a\x1b[31mb\u202ec"))
    shown = for_people(line)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.endswith("nbstep: WARNING: a\\x1b[31mb\\u202ec")
    assert for_people(parse(b"\xff not json")) == "\ufffd not json"
