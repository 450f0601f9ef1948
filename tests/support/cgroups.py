"""Control groups of version 1, made for a test and removed after it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.needs import missing

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def limited(controller: str, **limits: int) -> Iterator[Path]:
    """A group of that controller; ``memory_limit_in_bytes=…`` writes ``memory.limit_in_bytes``."""
    parent = ROOT / controller
    if not (os.geteuid() == 0 and (parent / "tasks").exists() and os.access(parent, os.W_OK)):
        missing("cgroups", f"the cgroup controller {controller} (version 1) cannot be written here")
    folder = parent / f"nbstep-test-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        for name, value in limits.items():
            (folder / name.replace("_", ".", 1)).write_text(str(value))
        yield folder
    finally:
        _remove(folder)


def enter(folder: Path) -> Callable[[], None]:
    """What a child process does before it starts, to be in the group with all that it starts."""

    def move() -> None:
        (folder / "tasks").write_text(str(os.getpid()))

    return move


def _remove(folder: Path) -> None:
    """A group can be removed once its last process is gone."""
    for _ in range(100):
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)
