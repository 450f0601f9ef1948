"""``memory://``: a store inside this process, with every promise kept; what tests run against."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import InputNotFoundError, OutputConflictError
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.uris import checked


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    stat: Stat


class MemorySpace:
    """The objects of one or more memory stores, and the lock around them."""

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.lock = Lock()
        self.versions = count(1)


SHARED: Final = MemorySpace()
"""What every ``memory://`` URI of this process names."""


class MemoryStore:
    """Objects in a dictionary; thread-safe. Stores of one space see the same objects, as two clients of a server do."""

    atomic_replace = True
    conditional_write = True
    verified = True

    def __init__(self, space: MemorySpace = SHARED) -> None:
        self._space = space

    def read(self, uri: str) -> Blob:
        """The object's bytes and version."""
        entry = self._space.entries.get(checked(uri))
        if entry is None:
            raise InputNotFoundError(f"There is no {uri}.")
        return Blob(entry.data, entry.stat.version)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Replace the object in one step."""
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self._space.lock:
            self._expect(checked(uri), if_version)
            version = str(next(self._space.versions))
            stat = Stat(uri=uri, size=len(content), version=version, checksum=checksum, modified=time.time())
            self._space.entries[uri] = _Entry(content, stat)
        return version

    def stat(self, uri: str) -> Stat | None:
        """What is known of the object."""
        entry = self._space.entries.get(checked(uri))
        return entry.stat if entry else None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the prefix, as it is at this moment."""
        prefix = checked(uri)
        with self._space.lock:
            found = [entry.stat for name, entry in sorted(self._space.entries.items()) if name.startswith(prefix)]
        return iter(found)

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove the object."""
        with self._space.lock:
            if checked(uri) in self._space.entries:
                self._expect(uri, if_version)
                del self._space.entries[uri]

    def _expect(self, uri: str, if_version: str | None) -> None:
        entry = self._space.entries.get(uri)
        version = entry.stat.version if entry else ABSENT
        if if_version is not None and if_version != version:
            raise OutputConflictError(f"{uri} is at version {version or 'none'}, not {if_version or 'none'}.")


def open_backend(_uri: str, _options: StorageOptions, _on_retry: object) -> MemoryStore:
    """The store of this process."""
    return MemoryStore()
