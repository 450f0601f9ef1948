"""Disks and folders that refuse: the system's answer is made here, since root may write and read everything."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def fill(monkeypatch: pytest.MonkeyPatch, *, room: int) -> None:
    """From now on ``os.write`` has room for so many bytes in all."""
    write, left = os.write, room

    def full(descriptor: int, data: Any) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, bytes(data[:left]))
        left -= written
        return written

    monkeypatch.setattr(os, "write", full)


def close(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From now on ``os.open`` may not open what goes by that name."""
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if path == name:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *args, **more)

    monkeypatch.setattr(os, "open", refuse)
