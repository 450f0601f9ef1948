"""Memory and CPU of the kernel, and whether it was killed for memory: what the operating system knows.

Where a file is missing or says something else, the answer is ``None``: figures are a help, never a reason for a run to
end. The files of cgroups: see :mod:`nbstep_runner.kernel.cgroups`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nbstep_runner.kernel import cgroups

_PROC = Path("/proc")
_UNLIMITED = 1 << 60  # version 1 has no word for it, only a number beyond any machine
_VICTIM_ADJUSTMENT = 500  # as if the process used half of all memory more than it does


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a version of cgroups keeps its figures."""

    kills: str
    peak: str


_VERSION_1 = _Files(kills="memory.oom_control", peak="memory.max_usage_in_bytes")
_VERSION_2 = _Files(kills="memory.events", peak="memory.peak")


class MemoryWatch:
    """The memory figures of the cgroup that this process is in, of version 1 or 2.

    Args:
        cgroup: ``None`` where it cannot be seen.
        files: Of its version.
    """

    def __init__(self, cgroup: cgroups.Cgroup | None, files: _Files) -> None:
        self._cgroup, self._files = cgroup, files
        self._folder = cgroup.folder if cgroup else None
        self._kills_before = self._kill_counter()

    @classmethod
    def start(cls, root: Path = cgroups.ROOT) -> MemoryWatch:
        """Find the cgroup and note its counter as it stands; never raises. ``root`` is for tests."""
        for controller, kind, files in (("memory", "cgroup", _VERSION_1), ("", "cgroup2", _VERSION_2)):
            found = cgroups.find(root, kind, controller, files.kills)
            if found:
                return cls(found, files)
        return cls(None, _VERSION_2)

    def oom_kills(self) -> int | None:
        """Processes of the cgroup killed for memory since the start; ``None`` where no counter can be read."""
        kills = self._kill_counter()
        return None if kills is None or self._kills_before is None else kills - self._kills_before

    def peak_bytes(self) -> int | None:
        """The cgroup's highest memory use so far, page cache included."""
        return _integer(cgroups.read(self._folder / self._files.peak)) if self._folder else None

    def limit_bytes(self) -> int | None:
        """The lowest limit that holds for the cgroup; ``None`` without one."""
        if not self._cgroup:
            return None
        limits = [_field(cgroups.read(self._cgroup.folder / "memory.stat"), "hierarchical_memory_limit")]
        for folder in self._cgroup.folders:
            limits += [_integer(cgroups.read(folder / name)) for name in ("memory.max", "memory.limit_in_bytes")]
        return min((limit for limit in limits if limit is not None and limit < _UNLIMITED), default=None)

    def _kill_counter(self) -> int | None:
        return _field(cgroups.read(self._folder / self._files.kills), "oom_kill") if self._folder else None


def prefer_as_oom_victim(pid: int, *, proc: Path = _PROC) -> None:
    """Make this process and its future children, not the runner, the ones killed when memory runs out."""
    path = proc / str(pid) / "oom_score_adj"
    present = _integer(cgroups.read(path))
    if present is not None:
        _write(path, str(min(1000, present + _VICTIM_ADJUSTMENT)).encode())


def _field(text: str, name: str) -> int | None:
    """The number behind a name that starts a line."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _write(path: Path, data: bytes) -> bool:
    try:
        with path.open("wb", buffering=0) as file:
            file.write(data)
    except OSError:
        return False
    return True
