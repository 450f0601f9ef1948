"""Writes under a condition to servers that do not check it: one at a time for an object, none for another's sake."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import conditions
from nbstep_runner.stores.conditions import ConditionalWrite, Conditions


class Slow:
    """A server that ignores conditions, and does not answer until it is let go."""

    def __init__(self) -> None:
        self.going_on, self.begun = threading.Event(), threading.Semaphore(0)
        self.at_once = self.most_at_once = 0

    def write(self, uri: str, *, stuck: bool = True) -> ConditionalWrite:
        """A write that stays under way."""

        def send(_: bool) -> str:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.begun.release()
            if stuck:
                self.going_on.wait(10)
            self.at_once -= 1
            return "2"

        return ConditionalWrite(
            uri=uri, check=lambda: None, send=send, send_again=lambda: "2", can_tell=lambda _: False
        )


def test_a_stuck_write_holds_up_no_other_object() -> None:
    server, known = Slow(), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(known.write, server.write("s3://b/out.result.json"))
        server.begun.acquire(timeout=5)
        began = time.monotonic()
        assert known.write(server.write("s3://b/out.ipynb", stuck=False)) == "2"
        assert time.monotonic() - began < 2
        server.going_on.set()
        assert stuck.result(5) == "2"


def test_writes_of_one_object_come_one_after_another() -> None:
    server, known = Slow(), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        writes = [pool.submit(known.write, server.write("s3://b/x")) for _ in range(3)]
        server.begun.acquire(timeout=5)
        time.sleep(0.1)
        server.going_on.set()
        assert [write.result(5) for write in writes] == ["2"] * 3
    assert server.most_at_once == 1


def test_waiting_for_a_write_of_the_same_object_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "LONGEST_WAIT", 0.1)
    server, known = Slow(), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(known.write, server.write("s3://key:pass@b/x"))
        server.begun.acquire(timeout=5)
        with pytest.raises(StorageUnavailableError, match=r"another write of s3://key:\*\*\*@b/x has not ended"):
            known.write(server.write("s3://key:pass@b/x"))
        server.going_on.set()
        assert stuck.result(5) == "2"
    assert known.write(server.write("s3://key:pass@b/x")) == "2"
