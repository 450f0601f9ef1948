from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from nbstep_runner import supervisor as module
from nbstep_runner.errors import InterruptedRunError, OutputConflictError, StorageUnavailableError, TerminatedError
from nbstep_runner.supervisor import Supervisor


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor(grace=0.5) as entered:
        yield entered


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def saved(seconds: float) -> str:
    time.sleep(seconds)
    return "saved"


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(signal.SIGTERM, TerminatedError), (signal.SIGINT, InterruptedRunError), (signal.SIGHUP, TerminatedError)],
)
def test_a_signal_is_noted_and_nothing_is_raised_until_asked(
    supervisor: Supervisor, number: signal.Signals, verdict: type[Exception]
) -> None:
    supervisor.check()
    send(number)
    assert supervisor.stop is not None
    with pytest.raises(verdict, match=number.name):
        supervisor.check()


def test_later_signals_change_nothing(supervisor: Supervisor) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        send(number)
    with pytest.raises(TerminatedError):
        supervisor.check()


def test_the_grace_period_runs_from_the_first_signal(supervisor: Supervisor) -> None:
    assert supervisor.seconds_left == 0.5
    send(signal.SIGTERM)
    time.sleep(0.1)
    assert supervisor.seconds_left < 0.45
    time.sleep(0.5)
    assert supervisor.seconds_left == 0


def test_a_call_returns_or_raises_what_its_work_does(supervisor: Supervisor) -> None:
    assert supervisor.call(lambda: 7, doing="counting") == 7
    with pytest.raises(KeyError):
        supervisor.call(lambda: os.environ["NO_SUCH_VARIABLE"], doing="looking")


def test_where_no_thread_can_be_started_the_work_is_done_all_the_same(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert supervisor.call(lambda: threading.current_thread().name, doing="saving") == "MainThread"


def test_a_signal_ends_a_call_at_once(supervisor: Supervisor) -> None:
    threading.Timer(0.1, send, (signal.SIGTERM,)).start()
    began = time.monotonic()
    with pytest.raises(TerminatedError):
        supervisor.call(lambda: time.sleep(60), doing="sleeping")
    assert time.monotonic() - began < 30
    with pytest.raises(TerminatedError):
        supervisor.call(lambda: pytest.fail("it must not begin"), doing="nothing")


def test_what_must_be_done_despite_a_stop_goes_on_until_the_grace_period_ends(supervisor: Supervisor) -> None:
    send(signal.SIGTERM)
    assert supervisor.call(lambda: saved(0.1), doing="saving", despite_stop=True) == "saved"
    with pytest.raises(StorageUnavailableError, match="saving did not end within the grace period"):
        supervisor.call(lambda: time.sleep(5), doing="saving", despite_stop=True)


def test_a_signal_in_the_midst_of_saving_does_not_end_it(supervisor: Supervisor) -> None:
    threading.Timer(0.05, send, (signal.SIGTERM,)).start()
    assert supervisor.call(lambda: saved(0.2), doing="saving", despite_stop=True) == "saved"


def test_a_run_can_be_aborted_from_any_thread(supervisor: Supervisor) -> None:
    lost = OutputConflictError("another run has taken over")
    threading.Timer(0.05, supervisor.abort, (lost,)).start()
    with pytest.raises(OutputConflictError):
        supervisor.call(lambda: time.sleep(5), doing="sleeping")


def test_a_signal_just_before_a_call_begins_to_wait_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with Supervisor(grace=5) as supervisor:

        class News(SimpleQueue[Any]):
            def __init__(self) -> None:
                send(signal.SIGTERM)

        monkeypatch.setattr(module, "SimpleQueue", News)
        began = time.monotonic()
        with pytest.raises(TerminatedError):
            supervisor.call(lambda: time.sleep(60), doing="sleeping")
        assert time.monotonic() - began < 30


def test_what_goes_on_despite_a_stop_is_told_the_time_that_it_has() -> None:
    told: list[float] = []
    with Supervisor(grace=10, on_stop=told.append) as supervisor:
        supervisor.call(lambda: None, doing="working", despite_stop=True)
        assert told == []
        send(signal.SIGTERM)
        supervisor.call(lambda: None, doing="saving", despite_stop=True, share=0.5)
        supervisor.call(lambda: None, doing="saving more", despite_stop=True)
    assert told == pytest.approx([5, 10], abs=0.5)


def test_a_run_that_has_ended_can_be_aborted_still() -> None:
    with Supervisor(grace=1) as supervisor:
        pass
    supervisor.abort(OutputConflictError("another run has taken over"))
    assert isinstance(supervisor.stop, module.Stop)


def test_whoever_waits_on_a_descriptor_is_woken(supervisor: Supervisor) -> None:
    import select

    assert select.select([supervisor.wake], [], [], 0)[0] == []
    send(signal.SIGTERM)
    assert select.select([supervisor.wake], [], [], 1)[0] == [supervisor.wake]
    supervisor.attend()
    assert select.select([supervisor.wake], [], [], 0)[0] == []


def test_children_are_attended_to() -> None:
    seen = []
    with Supervisor(1, on_child=lambda: seen.append("child")) as supervisor:
        send(signal.SIGCHLD)
        supervisor.attend()
        assert supervisor.stop is None
    assert seen == ["child"]


def test_a_signal_before_its_time_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_noted", [])
    before = {number: signal.getsignal(number) for number in module.STOPPING}
    try:
        module.note_signals()
        send(signal.SIGTERM)
        send(signal.SIGINT)
        time.sleep(0.1)
        with Supervisor(1) as supervisor:
            assert supervisor.seconds_left < 0.95
            with pytest.raises(TerminatedError):
                supervisor.check()
        send(signal.SIGTERM)  # ends nothing any more
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_signal_that_stopped_one_run_stops_the_next_one_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_noted", [])
    before = {number: signal.getsignal(number) for number in module.STOPPING}
    try:
        module.note_signals()
        with Supervisor(1) as first:
            first.abort(OutputConflictError("another run has taken over"))
        with Supervisor(1) as second:
            second.check()
            send(signal.SIGTERM)
        with Supervisor(1) as third, pytest.raises(TerminatedError):
            third.check()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_old_handlers_come_back() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    with Supervisor(1):
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
