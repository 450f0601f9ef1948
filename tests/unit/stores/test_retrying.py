"""The retry policy: budget, waits, lines, and a process that has to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from nbstep_runner.errors import InternalError, OutputConflictError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import hurry
from nbstep_runner.stores.retrying import RefusedError, Retrier, TransientError, Try, seconds_asked


class FlakyError(Exception):
    """What a client library raises."""


def translated(error: Exception, _doing: str) -> Exception:
    return TransientError(f"flaky at https://user:word@host/{error}") if isinstance(error, FlakyError) else error


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    yield
    hurry(float("inf"))


def failing(times: int) -> Iterator[Exception | None]:
    yield from [FlakyError("x")] * times
    while True:
        yield None


def run(retrier: Retrier, times: int) -> list[Try]:
    outcomes, tries = failing(times), list[Try]()

    def action(attempt: Try) -> None:
        tries.append(attempt)
        if error := next(outcomes):
            raise error

    retrier.call("reading", "sftp://me:word@host/a", action)
    return tries


def test_a_failure_that_passes_is_no_failure() -> None:
    lines: list[str] = []
    tries = run(Retrier(20.0, translated, lines.append), 3)
    assert [attempt.number for attempt in tries] == [1, 2, 3, 4]
    assert len(lines) == 3
    assert lines[0].endswith("(try 2)")


@pytest.mark.fault(39)
def test_lines_and_errors_hold_no_secret() -> None:
    lines: list[str] = []
    with pytest.raises(StorageUnavailableError) as spent:
        run(Retrier(0.3, translated, lines.append), 10_000)
    assert "word" not in "".join([*lines, spent.value.message, spent.value.context])
    assert "Reading sftp://me:***@host/a failed: flaky at https://***@host/x" in spent.value.message


@pytest.mark.fault(15)
@pytest.mark.parametrize("budget", [0.0, 0.2, 1.0])
def test_the_budget_is_kept(budget: float) -> None:
    def taken() -> float:
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"tried (once|\d+ times)"):
            run(Retrier(budget, translated), 10_000)
        return time.monotonic() - started

    assert any(taken() <= budget + 0.1 for _ in range(5)), "a busy machine only adds to it"


def test_a_wait_longer_than_the_budget_is_not_begun() -> None:
    def action(_: Try) -> None:
        raise TransientError("busy", retry_after=60.0)

    started = time.monotonic()
    with pytest.raises(StorageUnavailableError, match="tried once"):
        Retrier(59.0, translated).call("reading", "a", action)
    assert time.monotonic() - started < 30


def test_other_errors_are_final() -> None:
    for error in (StorageDeniedError("no"), InternalError("ours"), KeyError("a bug")):

        def action(_: Try, error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            Retrier(5.0, translated).call("reading", "a", action)


@pytest.mark.fault(17)
def test_a_write_whose_answer_was_lost_is_found() -> None:
    def send(attempt: Try) -> str:
        raise FlakyError("x") if attempt.number == 1 else OutputConflictError("there already")

    assert Retrier(5.0, translated).write("a", send, lambda: "ours") == "ours"
    with pytest.raises(OutputConflictError, match="there already"):
        Retrier(5.0, translated).write("a", send, lambda: None)


def test_a_first_try_that_conflicts_is_not_looked_for() -> None:
    def send(_: Try) -> str:
        raise OutputConflictError("there already")

    with pytest.raises(OutputConflictError):
        Retrier(5.0, translated).write("a", send, lambda: pytest.fail("nothing was written before"))


@pytest.mark.parametrize("passes", [True, False])
def test_a_refusal_is_final_when_it_comes_again(passes: bool) -> None:
    tries: list[int] = []

    def send(attempt: Try) -> str:
        tries.append(attempt.number)
        if passes and attempt.number == 3:
            return "1"
        raise RefusedError("It was damaged, or it is wrong.")

    retrier = Retrier(5.0, translated)
    if passes:
        assert retrier.write("a", send, lambda: None) == "1"
    else:
        with pytest.raises(RefusedError):
            retrier.write("a", send, lambda: None)
    assert tries == [1, 2, 3]


def test_idle_time_leaves_room_for_another_try() -> None:
    now = time.monotonic()
    assert [round(Try(2, now + left).idle) for left in (120, 8, -1)] == [30, 4, 1]
    assert [round(Try(1, now + left).idle) for left in (120, 20, 0)] == [30, 10, 5]
    assert Try(1, now - 1).left == 0.0
    hurry(4.0)
    assert round(Try(1, now + 120).idle) == 2


@pytest.mark.fault(11)
def test_a_process_that_has_to_end_waits_no_longer() -> None:
    """What waits for a retry tries at once, and gives up when its time is over."""
    outcome: list[Exception] = []

    def work() -> None:
        try:
            run(Retrier(300.0, translated), 10_000)
        except StorageUnavailableError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    hurry(0.3)
    thread.join(60.0)
    assert len(outcome) == 1
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 0.0), ("3", 3.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-1", 0.0)]
)
def test_a_servers_wish_is_read(header: str | None, seconds: float) -> None:
    assert seconds_asked(header) == seconds
