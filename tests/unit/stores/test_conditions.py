"""Writes under a condition to servers that do not check it: one at a time for an object, none for another's sake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum

import pytest

from nbstep_runner.errors import OutputConflictError, StorageUnavailableError
from nbstep_runner.stores import conditions
from nbstep_runner.stores.conditions import ConditionalWrite, Conditions, NotSupportedError


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
            uri=uri,
            creates=False,
            check=lambda: None,
            send=send,
            send_once=lambda: "2",
            find=lambda: None,
            send_held=None,
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


class Checks(StrEnum):
    """When a server looks at a condition."""

    WITH_THE_BODY = "with the body"
    BEFORE_THE_BODY = "before the body"
    NEVER = "never"
    DOES_NOT_KNOW_IT = "does not know it"


class Server:
    """A server with one object, and what it was sent.

    Attributes:
        loses: The number of the request whose answer is lost.
    """

    def __init__(self, checks: Checks, loses: int = 0) -> None:
        self.checks, self.loses = checks, loses
        self.version, self.requests = "", 0

    def write(self, expected: str = "") -> ConditionalWrite:
        return ConditionalWrite(
            uri="s3://bucket/object",
            creates=not expected,
            check=lambda: self.expect(expected),
            send=lambda header: self.send(expected if header else None),
            send_once=lambda: self.send(expected),
            send_held=lambda held: self.send(expected, held),
            find=lambda: self.version or None,
        )

    def expect(self, version: str) -> None:
        if version != self.version:
            raise OutputConflictError("it is at another version")

    def send(self, expected: str | None, held: Callable[[], None] = lambda: None) -> str:
        self.requests += 1
        number = self.requests
        if expected is not None and self.checks is Checks.DOES_NOT_KNOW_IT:
            raise NotSupportedError
        if expected is not None and self.checks is Checks.BEFORE_THE_BODY:
            self.expect(expected)
        held()
        if expected is not None and self.checks is Checks.WITH_THE_BODY:
            self.expect(expected)
        self.version = str(number)
        if number == self.loses:
            raise StorageUnavailableError("the answer was lost")
        return self.version


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "_HEAD_START", 0.0)


@pytest.mark.fault(66)
@pytest.mark.parametrize("checks", list(Checks))
def test_only_a_server_that_checks_when_it_has_the_body_is_trusted(checks: Checks) -> None:
    server, known = Server(checks), Conditions()
    first = known.write(server.write())
    second = known.write(server.write(first))
    assert known.held is (checks is Checks.WITH_THE_BODY)
    assert second == server.version
    with pytest.raises(OutputConflictError):
        known.write(server.write(first))
    before = server.requests
    known.write(server.write(second))
    assert server.requests == before + 1, "it was found out before"


@pytest.mark.fault(17)
@pytest.mark.parametrize("loses", [1, 2])
def test_an_answer_lost_while_the_server_is_found_out_is_no_conflict(loses: int) -> None:
    server, known = Server(Checks.WITH_THE_BODY, loses), Conditions()
    assert known.write(server.write()) == server.version


@pytest.mark.fault(24)
def test_another_process_that_is_faster_wins() -> None:
    server, known = Server(Checks.WITH_THE_BODY), Conditions()
    work = server.write()
    faster = replace(work, check=lambda: setattr(server, "version", "theirs"))
    with pytest.raises(OutputConflictError):
        known.write(faster)
    assert (server.version, known.held) == ("theirs", False)


@pytest.mark.fault(66)
def test_one_write_around_the_check_ends_the_promise() -> None:
    server, known = Server(Checks.WITH_THE_BODY), Conditions(held=True)
    first = known.write(server.write())
    known.write(replace(server.write(first), expressible=False))
    assert not known.held
