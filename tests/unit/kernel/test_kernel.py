"""A kernel that is gone is heard to its end."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nbstep_runner.kernel import kernel as module
from nbstep_runner.kernel.kernel import BATCH, LAST_WORDS_SECONDS, Kernel
from nbstep_runner.kernel.wire import Message

PIDFD, STDERR, WAKE = 7, 8, 9
TICK_SECONDS = 0.01


class Clock:
    """Each look at it takes a while."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += TICK_SECONDS
        return self._now


class Dead:
    """A dead kernel's end of the sockets, where messages wait; it stands for the process and the poller, too."""

    spec = SimpleNamespace(is_ipykernel=False)
    connection, pidfd, stderr = None, PIDFD, STDERR
    iopub, shell, control, heartbeat, stdin = "iopub", "shell", "control", "heartbeat", None

    def __init__(self, messages: Iterator[Message], clock: Clock) -> None:
        self._messages = messages
        self._clock = clock

    def register(self, _: Any) -> None:
        """There is nothing to wait for."""

    def poll(self, _: float | None) -> set[Any]:
        return {PIDFD, WAKE}

    def receive(self, socket: str) -> Message | None:
        self._clock.monotonic()  # it takes its time
        return next(self._messages, None) if socket == "iopub" else None

    def wait_after_death(self, *_: Any) -> bool:
        return False


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Any:
    def after(messages: Iterator[Message]) -> Kernel:
        clock = Clock()
        end = Dead(messages, clock)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "KernelClient", lambda *_, **__: end)
        monkeypatch.setattr(module, "Poller", lambda _: end)
        return Kernel(end, WAKE)  # type: ignore[arg-type]  # what of a process is asked for

    return after


def test_all_that_it_had_sent_comes_before_its_death_however_long_that_takes(dead: Any) -> None:
    """In batches, so that a signal is heard meanwhile, and memory bounded."""
    sent = [Message("stream", "", {"number": number}) for number in range(5 * BATCH)]
    kernel = dead(iter(sent))
    heard: list[Message] = []
    while not (part := kernel.wait(60)).died:
        assert part.woken
        assert 0 < len(part.iopub) <= BATCH
        heard += part.iopub
    assert (part.iopub, heard) == ((), sent)
    assert kernel.wait(60).died


def test_what_goes_on_with_its_sockets_is_not_listened_to_for_ever(dead: Any) -> None:
    kernel = dead(Message("stream", "", {}) for _ in iter(int, 1))
    most = int(2 * LAST_WORDS_SECONDS / TICK_SECONDS)
    assert any(kernel.wait(60).died for _ in range(most))
