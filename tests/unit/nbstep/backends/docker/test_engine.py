"""The daemon's log as it comes, whatever the connection to the daemon can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import requests
from docker.errors import APIError, DockerException

from nbstep.backends.docker import engine

if TYPE_CHECKING:
    import pytest


class LogBySsh:
    """A log without end, whose connection the SDK cannot close."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"piece"
            time.sleep(0.01)

    def close(self) -> None:
        raise DockerException("Cancellable streams not supported for the SSH protocol")


def copying() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nbstep-docker-log"]


def test_who_stops_to_follow_a_log_by_ssh_leaves_no_thread_behind() -> None:
    before = copying()
    following = engine._paced(LogBySsh())
    assert next(following) == b"piece"
    (copier,) = set(copying()).difference(before)
    assert isinstance(following, Iterator)
    following.close()  # type: ignore[attr-defined]  # a generator
    copier.join(120)
    assert not copier.is_alive()


class Busy:
    """An API whose every call meets what another process does."""

    def __getattr__(self, name: str) -> Any:
        def refuse(*_arguments: object, **_options: object) -> None:
            answer = requests.Response()
            answer.status_code = 409
            raise APIError("conflict", answer, explanation="removal is already in progress")

        return refuse


def test_what_another_process_removes_is_as_good_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = object.__new__(engine.Engine)
    monkeypatch.setattr(daemon, "_api", Busy(), raising=False)
    daemon.remove("old")
    daemon.signal("old", "SIGTERM")
