"""The daemon's log as it comes, whatever the connection to the daemon can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from docker.errors import APIError, DockerException

from nbstep.backends.docker import backend, engine
from nbstep.backends.docker.request import RUN_LABEL
from nbstep.backends.protocol import Plan
from nbstep.errors import RunNotFoundError
from nbstep_runner.errors import OutputConflictError


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


class Named:
    """A daemon with one container, which something else has made and given no label."""

    def inspect(self, _name: str) -> dict[str, Any]:
        return {"Config": {"Labels": None}, "State": {"Status": "running"}}

    def provide(self, _image: str, *, pull: str) -> None:
        del pull

    def ended(self, _label: str) -> list[str]:
        return []

    def create(self, _name: str, _container: dict[str, Any]) -> None:
        raise OutputConflictError("there is a container of that name")


def test_a_container_without_labels_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "engine", Named)
    place = backend.DockerBackend()
    with pytest.raises(RunNotFoundError, match="is not a run"):
        place.locate("docker://theirs")
    container = {"Image": "i:1", "Labels": {RUN_LABEL: "{}"}, "Cmd": []}
    with pytest.raises(OutputConflictError):
        place.submit(Plan(handle="docker://theirs", body={"pull": "never", "container": container}, text=""))


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
