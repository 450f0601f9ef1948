"""What every server of these tests shares: a free port, a wait until it answers, and an end that is certain."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path

from support.needs import missing

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


class QuietServer(ThreadingHTTPServer):
    """An HTTP server for tests that cut connections on purpose."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection that was cut is no news."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require(binary: str, package: str) -> str:
    """The path of a server's binary; without it tests are skipped, or fail where it is required."""
    found = shutil.which(binary, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    return found or missing(binary, f"{binary} is not installed (Debian package {package})")


def die_with_parent() -> None:
    """In the child before it starts: no server outlives the tests, even if they are killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command: Sequence[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    """A server process that accepts connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=die_with_parent)  # noqa: PLW1509 - the tests start servers from their only thread
    try:
        wait_until(lambda: answers(port), lambda: process.poll() is not None)
    except TimeoutError:
        stop(process)
        raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}") from None
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(ready: Callable[[], bool], hopeless: Callable[[], bool] = lambda: False, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if hopeless() or time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)
