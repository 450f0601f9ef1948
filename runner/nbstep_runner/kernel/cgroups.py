"""The cgroups that this process is in, where they can be seen.

The files are described in the Linux kernel's documentation: ``admin-guide/cgroup-v1``, ``admin-guide/cgroup-v2.rst``
and ``filesystems/proc.rst``. Where a file is missing or says something else, the answer is that nothing is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup's folder, and the uppermost one that can be seen; limits above it are not known."""

    folder: Path
    mount: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those whose limits hold for the cgroup: its own, and each further up."""
        above = [each for each in self.folder.parents if each.is_relative_to(self.mount)]
        return (self.folder, *above)


def find(root: Path, kind: str, controller: str, name: str) -> Cgroup | None:
    """The cgroup of this process that has a file of that name.

    In a container the path may be that of the host while the mount shows the container's part only: what the mount
    does not show is left out, up to the mount point itself.

    Args:
        root: Where ``/`` is; for tests.
        kind: ``cgroup`` (version 1) or ``cgroup2``.
        controller: Of version 1; empty for version 2.
        name: The file.
    """
    path = _paths(read(root / "proc/self/cgroup")).get(controller)
    if path is None:
        return None
    for top, point in _mounts(read(root / "proc/self/mountinfo"), kind, controller):
        mount = root / point.relative_to("/")
        inside = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
        for below in (inside, *inside.parents):
            if ".." not in below.parts and (mount / below / name).exists():
                return Cgroup(mount / below, mount)
    return None


def read(path: Path) -> str:
    """A file's text; none where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _paths(text: str) -> dict[str, PurePosixPath]:
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


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
