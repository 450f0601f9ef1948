"""One measured run of a command."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Measure:
    """What a run took.

    Attributes:
        seconds: Wall time.
        cpu_seconds: CPU time of the command and of all processes that it waited for.
        peak_bytes: Peak resident memory of the command's own process.
        written_bytes: What the command's own process wrote to files and pipes.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int


def measure(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Measure:
    """Run a command with its output going to a file.

    Args:
        command: What is run.
        log: The file.
        environment: Variables to set besides.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=measured_environment() | dict(environment or {}),
        )
        watch = _Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.join()
    if process.returncode:
        sys.stderr.write(log.read_text(errors="replace")[-2000:])
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measure(seconds, usage.ru_utime + usage.ru_stime, watch.peak_bytes, watch.written_bytes)


def measured_environment() -> dict[str, str]:
    """Ours, but letting Python keep compiled modules, as installations do: else each start compiles what was edited."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class _Watch(threading.Thread):
    """Reads a process's own figures (proc(5)) until it ends; both only grow, so the last reading is the figure."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._folder = Path(f"/proc/{pid}")
        self.peak_bytes = 0
        self.written_bytes = 0
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError, IndexError, StopIteration):
            while True:
                self.peak_bytes = int(_field(self._folder / "status", "VmHWM:")) * 1024
                self.written_bytes = int(_field(self._folder / "io", "wchar:"))
                time.sleep(SAMPLE_SECONDS)


def _field(path: Path, name: str) -> str:
    line = next(line for line in path.read_text().splitlines() if line.startswith(name))
    return line.split()[1]
