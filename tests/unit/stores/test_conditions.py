"""Writes under a condition to servers that do not check it: one at a time for an object, none for another's sake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import pytest

from nbstep_runner.errors import OutputConflictError, StorageUnavailableError
from nbstep_runner.stores import ABSENT, conditions
from nbstep_runner.stores.conditions import Condition, Conditions, NotSupportedError
from nbstep_runner.stores.content import Upload

HEADER = {"If-Match": "1"}


class Slow:
    """A server that ignores conditions, and does not answer until it is let go, for objects of that name."""

    def __init__(self, stuck: str) -> None:
        self.stuck = stuck
        self.going_on, self.begun = threading.Event(), threading.Semaphore(0)
        self.at_once = self.most_at_once = 0

    def write(self, known: Conditions, uri: str) -> str:
        return known.write(self, Upload(uri, b"x"), "1", HEADER)

    def expect(self, _uri: str, _version: str) -> None:
        """It always holds."""

    def send(self, upload: Upload, _condition: Condition) -> str:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        if upload.uri == self.stuck:
            self.going_on.wait(60)
        self.at_once -= 1
        return "2"

    def send_once(self, upload: Upload, condition: Condition, _held: Callable[[], None] | None) -> str:
        return self.send(upload, condition)

    def find(self, _upload: Upload) -> str | None:
        return None


def test_a_stuck_write_holds_up_no_other_object() -> None:
    server, known = Slow("s3://b/out.result.json"), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(server.write, known, server.stuck)
        server.begun.acquire(timeout=30)
        began = time.monotonic()
        assert server.write(known, "s3://b/out.ipynb") == "2"
        assert time.monotonic() - began < 30
        server.going_on.set()
        assert stuck.result(30) == "2"


def test_writes_of_one_object_come_one_after_another() -> None:
    server, known = Slow("s3://b/x"), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        writes = [pool.submit(server.write, known, server.stuck) for _ in range(3)]
        server.begun.acquire(timeout=30)
        time.sleep(0.1)
        server.going_on.set()
        assert [write.result(5) for write in writes] == ["2"] * 3
    assert server.most_at_once == 1


def test_waiting_for_a_write_of_the_same_object_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "LONGEST_WAIT", 0.1)
    server, known = Slow("s3://key:pass@b/x"), Conditions(held=False)
    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(server.write, known, server.stuck)
        server.begun.acquire(timeout=30)
        with pytest.raises(StorageUnavailableError, match=r"another write of s3://key:\*\*\*@b/x has not ended"):
            server.write(known, server.stuck)
        server.going_on.set()
        assert stuck.result(30) == "2"
    assert server.write(known, server.stuck) == "2"


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
        drops: The number of the one that is lost itself, once it has begun.
    """

    def __init__(self, checks: Checks, loses: int = 0, drops: int = 0) -> None:
        self.checks, self.loses, self.drops = checks, loses, drops
        self.version, self.requests = "", 0

    def write(self, known: Conditions, expected: str = ABSENT) -> str:
        return known.write(self, Upload("s3://bucket/object", b"x"), expected, {"version": expected})

    def expect(self, _uri: str, version: str) -> None:
        if version != self.version:
            raise OutputConflictError("it is at another version")

    def find(self, _upload: Upload) -> str | None:
        return self.version or None

    def send(self, upload: Upload, condition: Condition) -> str:
        return self.send_once(upload, condition, None)

    def send_once(self, upload: Upload, condition: Condition, held: Callable[[], None] | None) -> str:
        expected = condition.get("version")
        self.requests += 1
        number = self.requests
        if expected is not None and self.checks is Checks.DOES_NOT_KNOW_IT:
            raise NotSupportedError
        if expected is not None and self.checks is Checks.BEFORE_THE_BODY:
            self.expect(upload.uri, expected)
        if held:
            held()
        if number == self.drops:
            raise StorageUnavailableError("the connection was reset")
        if expected is not None and self.checks is Checks.WITH_THE_BODY:
            self.expect(upload.uri, expected)
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
    first = server.write(known)
    second = server.write(known, first)
    assert known.held is (checks is Checks.WITH_THE_BODY)
    assert second == server.version
    with pytest.raises(OutputConflictError):
        server.write(known, first)
    before = server.requests
    server.write(known, second)
    assert server.requests == before + 1, "it was found out before"


@pytest.mark.fault(17)
@pytest.mark.parametrize(("loses", "drops"), [(1, 0), (2, 0), (2, 1)], ids=["first", "second", "neither is answered"])
def test_an_answer_lost_while_the_server_is_found_out_is_no_conflict(loses: int, drops: int) -> None:
    server, known = Server(Checks.WITH_THE_BODY, loses, drops), Conditions()
    assert server.write(known) == server.version


@pytest.mark.fault(24)
def test_another_process_that_is_faster_wins() -> None:
    class Overtaken(Server):
        """Another process writes after the look, and before the requests."""

        def expect(self, uri: str, version: str) -> None:
            super().expect(uri, version)
            self.version = "theirs"

    server, known = Overtaken(Checks.WITH_THE_BODY), Conditions()
    with pytest.raises(OutputConflictError):
        server.write(known)
    assert (server.version, known.held) == ("theirs", False)


@pytest.mark.fault(66)
def test_one_write_around_the_check_ends_the_promise() -> None:
    server, known = Server(Checks.WITH_THE_BODY), Conditions(held=True)
    first = server.write(known)
    known.write(server, Upload("s3://bucket/object", b"x"), first, {})
    assert not known.held
