"""``memory://``: a store inside this process, with every promise kept, or with habits of real servers; for tests."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
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


class Habit(StrEnum):
    """What some real servers do, and a store then must not promise."""

    WEAK_VERSIONS = "objects of one size share a version"
    LATE_CHECKS = "a condition is checked when a write begins, and not when it takes effect"
    RENAME_REPLACES = "the same, for creating alone"
    GAP = "the old object is removed before the new one takes its place"


class MemoryStore:
    """Objects in a dictionary; thread-safe. Stores of one space see the same objects, as two clients of a server do.

    Args:
        space: Where the objects are.
        habits: What the server is to do that the contract forbids; the flags follow.
        meanwhile: Called in the moment that a habit opens, for others to come between: readers, or writers too where
            a condition is checked too early.
    """

    verified = True

    def __init__(
        self,
        space: MemorySpace = SHARED,
        *,
        habits: Collection[Habit] = (),
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self._space = space
        self._habits = frozenset(habits)
        self._meanwhile = meanwhile
        self.atomic_replace = Habit.GAP not in self._habits
        self.conditional_write = not self._habits - {Habit.GAP}

    def read(self, uri: str) -> Blob:
        entry = self._space.entries.get(checked(uri))
        if entry is None:
            raise InputNotFoundError(f"There is no {uri}.")
        return Blob(entry.data, entry.stat.version)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Replace the object in one step, unless a habit says otherwise."""
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        late = Habit.LATE_CHECKS in self._habits or (if_version == ABSENT and Habit.RENAME_REPLACES in self._habits)
        if late:
            self._expect(checked(uri), if_version)
            self._meanwhile()
        with self._space.lock:
            self._expect(checked(uri), None if late else if_version)
            if Habit.GAP in self._habits:
                self._space.entries.pop(uri, None)
                self._meanwhile()
            weak = Habit.WEAK_VERSIONS in self._habits
            version = f"W/{len(content)}" if weak else str(next(self._space.versions))
            stat = Stat(uri=uri, size=len(content), version=version, checksum=checksum, modified=time.time())
            self._space.entries[uri] = _Entry(content, stat)
        return version

    def stat(self, uri: str) -> Stat | None:
        entry = self._space.entries.get(checked(uri))
        return entry.stat if entry else None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below the prefix, as it is at this moment."""
        prefix = checked(uri)
        with self._space.lock:
            found = [entry.stat for name, entry in sorted(self._space.entries.items()) if name.startswith(prefix)]
        return iter(found)

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
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
