"""What one process uses, looked up before and after every cell (proc(5)).

The files stay open, because to open one costs several times what it costs to read it. They are of the process itself:
once it is gone they say nothing, even where its pid was given away.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_READ_BYTES: Final = 16384
_PEAK: Final = re.compile(rb"^VmHWM:\s+(\d+)", re.MULTILINE)


class ProcessUsage:
    """Of the process itself and, as to CPU time, of the children that it has waited for."""

    def __init__(self, pid: int, *, proc: Path = _PROC) -> None:
        folder = proc / str(pid)
        self._stat = _open(folder / "stat", os.O_RDONLY)
        self._status = _open(folder / "status", os.O_RDONLY)
        self._clear_refs = _open(folder / "clear_refs", os.O_WRONLY)

    def cpu_seconds(self) -> float | None:
        """CPU time used so far, in steps of a clock tick (10 ms); ``None`` where it is gone."""
        _, _, fields = _read(self._stat).rpartition(b")")
        times = fields.split()[11:15]  # utime, stime, cutime, cstime: fields 14 to 17, counted from 1
        return sum(map(int, times)) / _TICKS if len(times) == 4 else None

    def peak_bytes(self) -> int | None:
        """The peak of its resident size since its start or the last :meth:`reset_peak`."""
        match = _PEAK.search(_read(self._status))
        return int(match[1]) * 1024 if match else None

    def reset_peak(self) -> bool:
        """Start the peak anew at the present size; whether the system could."""
        with suppress(OSError):
            return os.write(self._clear_refs, b"5") > 0
        return False

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._stat, self._status, self._clear_refs):
            if descriptor >= 0:
                os.close(descriptor)
        self._stat = self._status = self._clear_refs = -1


class UsageSince:
    """What a process uses from now on, as a cell has used it when it has ended."""

    def __init__(self, process: ProcessUsage) -> None:
        self._process = process
        self._cpu_before = process.cpu_seconds()
        process.reset_peak()

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time used since; ``None`` where unknown, as of a dead kernel."""
        used = self._process.cpu_seconds()
        return None if used is None or self._cpu_before is None else used - self._cpu_before

    @property
    def peak_bytes(self) -> int | None:
        """The peak of resident memory since."""
        return self._process.peak_bytes()


def _open(path: Path, mode: int) -> int:
    try:
        return os.open(path, mode)
    except OSError:
        return -1


def _read(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, _READ_BYTES, 0)
    except OSError:
        return b""
