"""What a step repeats by itself, how often and until when."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from nbstep_runner import supervisor
from nbstep_runner.errors import TerminatedError
from nbstep_runner.kfp_adapter import attempts
from nbstep_runner.kfp_adapter.attempts import repeat
from nbstep_runner.supervisor import Supervisor


class Attempts:
    """Ends with one code after the other."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.made = 0

    def __call__(self) -> int:
        self.made += 1
        return self.codes.pop(0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT", 0.001)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("codes", "retries", "code", "made"),
    [
        ((0,), 2, 0, 1),
        ((12, 70, 0), 2, 0, 3),
        ((75, 75, 75), 2, 75, 3),
        ((12,), 0, 12, 1),
        ((75, 10), 5, 10, 2),
        ((13,), 5, 13, 1),
        ((143,), 5, 143, 1),
        ((65,), 5, 65, 1),
    ],
)
def test_what_may_pass_is_repeated(codes: tuple[int, ...], retries: int, code: int, made: int) -> None:
    attempt = Attempts(*codes)
    assert repeat(attempt, retries, within=None, grace=1) == code
    assert attempt.made == made


def test_no_attempt_begins_after_the_time_is_over() -> None:
    attempt = Attempts(75, 75)
    assert repeat(attempt, 1, within=0, grace=1) == 75
    assert attempt.made == 1


@pytest.mark.usefixtures("quick")
def test_no_attempt_begins_after_a_signal_that_came_during_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel had just died, or storage was away: codes that are answered by another attempt."""
    monkeypatch.setattr(supervisor, "_noted", [])
    before = {number: signal.getsignal(number) for number in supervisor.STOPPING}
    made: list[int] = []

    def attempt() -> int:
        with Supervisor(1):
            os.kill(os.getpid(), signal.SIGTERM)
        made.append(12)
        return 12

    try:
        supervisor.note_signals()
        with pytest.raises(TerminatedError):
            repeat(attempt, 2, within=None, grace=1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert made == [12]


def test_a_signal_between_two_attempts_ends_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 600.0)
    told = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    began = time.monotonic()
    told.start()
    with pytest.raises(TerminatedError):
        repeat(Attempts(75, 0), 1, within=None, grace=1)
    assert time.monotonic() - began < 300
