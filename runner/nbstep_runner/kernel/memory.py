"""Memory and CPU of the kernel, and whether it was killed for memory: what the operating system knows.

The files are described in the Linux kernel's documentation: ``admin-guide/cgroup-v1/memory.rst``,
``admin-guide/cgroup-v2.rst`` and ``filesystems/proc.rst``. Where a file is missing or says something else, the answer
is ``None``: figures are a help, never a reason for a run to end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
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
        folder: The cgroup's folder, or ``None`` where it cannot be seen.
        mount: The uppermost folder that can be seen; limits above it are not known.
    """

    def __init__(self, folder: Path | None, mount: Path | None, files: _Files) -> None:
        self._folder, self._mount, self._files = folder, mount, files
        self._kills_before = self._kill_counter()

    @classmethod
    def start(cls, root: Path = _ROOT) -> MemoryWatch:
        """Find the cgroup and note its counter as it stands; never raises. ``root`` is for tests."""
        paths = _cgroup_paths(_read(root / "proc/self/cgroup"))
        mounts = _read(root / "proc/self/mountinfo")
        for controller, kind, files in (("memory", "cgroup", _VERSION_1), ("", "cgroup2", _VERSION_2)):
            found = _locate(root, paths.get(controller), _mounts(mounts, kind, controller), files)
            if found:
                return cls(*found, files)
        return cls(None, None, _VERSION_2)

    def oom_kills(self) -> int | None:
        """Processes of the cgroup killed for memory since the start; ``None`` where no counter can be read."""
        kills = self._kill_counter()
        return None if kills is None or self._kills_before is None else kills - self._kills_before

    def peak_bytes(self) -> int | None:
        """The cgroup's highest memory use so far, page cache included."""
        return _integer(_read(self._folder / self._files.peak)) if self._folder else None

    def limit_bytes(self) -> int | None:
        """The lowest limit that holds for the cgroup; ``None`` without one."""
        if not self._folder or not self._mount:
            return None
        limits = [_field(_read(self._folder / "memory.stat"), "hierarchical_memory_limit")]
        for folder in (self._folder, *self._folder.parents):
            limits += [_integer(_read(folder / name)) for name in ("memory.max", "memory.limit_in_bytes")]
            if folder == self._mount:
                break
        return min((limit for limit in limits if limit is not None and limit < _UNLIMITED), default=None)

    def _kill_counter(self) -> int | None:
        return _field(_read(self._folder / self._files.kills), "oom_kill") if self._folder else None


def prefer_as_oom_victim(pid: int, *, proc: Path = _PROC) -> None:
    """Make this process and its future children, not the runner, the ones killed when memory runs out."""
    path = proc / str(pid) / "oom_score_adj"
    present = _integer(_read(path))
    if present is not None:
        _write(path, str(min(1000, present + _VICTIM_ADJUSTMENT)).encode())


def _cgroup_paths(text: str) -> dict[str, PurePosixPath]:
    """The cgroup of each controller, by ``/proc/self/cgroup``; version 2's under the empty name."""
    entries = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    return {name: PurePosixPath(path) for _, controllers, path in entries for name in controllers.split(",")}


def _mounts(text: str, kind: str, controller: str) -> list[tuple[PurePosixPath, PurePosixPath]]:
    """Root and mount point of each mount of that kind of cgroup, by ``/proc/self/mountinfo``."""
    found = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        columns, source = fields.split(" "), rest.split(" ")
        if source[0] == kind and len(columns) > 4 and controller in ["", *source[-1].split(",")]:
            found.append((PurePosixPath(_unescaped(columns[3])), PurePosixPath(_unescaped(columns[4]))))
    return found


def _locate(
    root: Path,
    path: PurePosixPath | None,
    mounts: list[tuple[PurePosixPath, PurePosixPath]],
    files: _Files,
) -> tuple[Path, Path] | None:
    """The cgroup's folder and its mount point.

    In a container the path may be that of the host while the mount shows the container's part only: what the mount
    does not show is left out, up to the mount point itself.
    """
    if path is None:
        return None
    for top, point in mounts:
        mount = root / point.relative_to("/")
        inside = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
        for below in (inside, *inside.parents):
            if ".." not in below.parts and (mount / below / files.kills).exists():
                return mount / below, mount
    return None


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _field(text: str, name: str) -> int | None:
    """The number behind a name that starts a line."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _read(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _write(path: Path, data: bytes) -> bool:
    try:
        with path.open("wb", buffering=0) as file:
            file.write(data)
    except OSError:
        return False
    return True
