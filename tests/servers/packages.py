"""fsspec filesystems as packages of someone else bring them: an object store without a rename, and a disk with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from nbstep_runner.stores import other

if TYPE_CHECKING:
    import pytest
    from fsspec import AbstractFileSystem

FAILURES: list[Exception] = []
"""What the next uploads of the object store raise."""


class ObjectsFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec ships no types
    protocol = "objects"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012 - as its base has it

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("objects://").strip("/")

    def pipe_file(self, path: str, value: bytes, **named: Any) -> None:
        if FAILURES:
            raise FAILURES.pop(0)
        super().pipe_file(path, value, **named)


class DiskFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec ships no types
    protocol = "disk"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix(f"{cls.protocol}://").strip("/")


@contextmanager
def installed(kind: type[AbstractFileSystem], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The filesystem as if its package were installed."""
    entry = {"class": f"{kind.__module__}.{kind.__name__}"}
    patch.setitem(known_implementations, kind.protocol, entry)
    patch.setattr(other, "_is_here", lambda dotted: dotted == entry["class"])
    patch.setattr(other, "url_to_fs", lambda *_, **__: (kind(skip_instance_cache=True), ""))
    other.schemes.cache_clear()
    yield
    other.schemes.cache_clear()
