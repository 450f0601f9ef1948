"""The daemon's log as it comes, whatever the connection to the daemon can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from docker.errors import DockerException

from nbstep.backends.docker import engine


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
