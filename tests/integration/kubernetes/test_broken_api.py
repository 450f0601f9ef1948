"""Submitting and following where the cluster's API is cut, overloaded or away: nothing is lost, nothing comes twice."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from nbstep_runner.contract import RunState
from servers.api_proxy import Answer, Faults, status_answer
from servers.cluster import Launcher

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

COUNTING = "import time\nfor n in range(400):\n    print('line', n, 'x' * 40, flush=True)\n    time.sleep(0.01)"
EXPECTED = [f"line {n} {'x' * 40}" for n in range(400)]


@pytest.mark.fault(25)
def test_a_lost_answer_to_the_submission_is_one_job(launcher: Launcher, faults: Faults) -> None:
    lost: list[str] = []

    def once(method: str, path: str) -> bool:
        if method == "POST" and "dryRun" not in path and not lost:
            lost.append(path)
            return True
        return False

    faults.lose_answer = once
    run = launcher.submit("x = 1", "print('once')")
    assert run.wait(timeout=60).state is RunState.SUCCEEDED
    assert lost
    assert len(launcher.cluster.pods(run)) == 1


@pytest.mark.fault(27)
def test_a_log_that_breaks_again_and_again_is_whole(launcher: Launcher, faults: Faults) -> None:
    faults.cut_logs_after = 30_000
    run = launcher.submit("x = 1", COUNTING)
    lines = list(run.lines(follow=True))
    assert [line.message for line in lines if line.stream == "stdout"] == EXPECTED
    numbers = [line.seq for line in lines if line.seq is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert faults.cuts > 2


@pytest.mark.fault(27)
def test_following_goes_on_after_an_outage(launcher: Launcher, faults: Faults) -> None:
    run = launcher.submit("x = 1", COUNTING)
    lines: list[str] = []
    for line in run.lines(follow=True):
        if line.stream == "stdout":
            lines.append(line.message)
            if len(lines) == 50:
                faults.away = True
                threading.Timer(8.0, setattr, (faults, "away", False)).start()
    assert lines == EXPECTED
    assert run.wait(timeout=60).state is RunState.SUCCEEDED


@pytest.mark.fault(27)
def test_a_log_whose_beginning_is_gone_is_completed_from_storage(launcher: Launcher, faults: Faults) -> None:
    """As after the cluster has rotated it: only its end can be had, and only once."""
    run = launcher.submit("x = 1", COUNTING)
    run.wait(timeout=60)

    def without_log(method: str, path: str) -> Answer | None:
        if method == "GET" and "/log" in path:
            return 200, {"Content-Type": "text/plain"}, b""
        return None

    faults.answer = without_log
    lines = list(run.lines(follow=True))
    assert [line.message for line in lines if line.stream == "stdout"] == EXPECTED
    assert max(Counter(line.seq for line in lines if line.seq).values()) == 1


@pytest.mark.fault(27)
def test_an_overloaded_api_is_asked_again(launcher: Launcher, faults: Faults) -> None:
    refused: Counter[str] = Counter()

    def answer(method: str, path: str) -> Answer | None:
        kind = f"{method} {path.partition('?')[0]}"
        refused[kind] += 1
        code = {1: 429, 2: 500, 3: 503}.get(refused[kind])
        return status_answer(code, "overloaded", Retry_After="1") if code else None

    faults.answer = answer
    run = launcher.submit("x = 1", "print('hello')")
    begin = time.monotonic()
    assert run.wait(timeout=90).state is RunState.SUCCEEDED
    assert "hello" in [line.message for line in run.lines()]
    assert time.monotonic() - begin < 90


def test_a_refusal_is_told_in_words(launcher: Launcher, faults: Faults) -> None:
    faults.answer = lambda method, _path: status_answer(403, "jobs is forbidden") if method == "POST" else None
    with pytest.raises(Exception, match="the cluster refuses: jobs is forbidden") as caught:
        launcher.submit("x = 1")
    assert type(caught.value).__name__ == "ClusterDeniedError"
