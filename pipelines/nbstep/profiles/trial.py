"""What a place truly does, found out by trying it: for ``nbstep stores URI``.

A trial writes small objects of its own below a folder, as a run would, and removes them again.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PosixPath
from typing import IO, Any, Final, TypeVar

from nbstep_runner.errors import InputNotFoundError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import ABSENT, Store, join

_ROUNDS: Final = 3
_WRITERS: Final = 4
_REPLACEMENTS: Final = 10
_WHOLES: Final = (b"A" * 100_000, b"B" * 80_000)
_Result = TypeVar("_Result")


class Damage(StrEnum):
    """What became of an object whose bytes were not those of its digests."""

    REFUSED = "refused"
    """The write failed, by a digest or by reading back, and what was in place before stays."""
    FOUND = "found"
    """It was read back and the write failed; what was in place before is gone."""
    NONE = "none"
    """Its bytes are read once, and what is in place is compared with those: there are no others."""
    MISSED = "missed"
    """The write succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a trial.

    Attributes:
        atomic_replace: As the store promises, after it was used.
        conditional_write: The same.
        verified: The same.
        damaged: What became of an object that was damaged on its way.
        winners: Of each race of writers under one condition, how many won; one is right.
        readers: What readers met while an object was replaced: ``whole``, ``nothing`` or ``torn``, and how often.
        lists: The place can be listed, so that ``nbstep list`` works.
        seconds: The shortest time of each operation.
        meaning: What it means for runs, a sentence each.
    """

    folder: str
    atomic_replace: bool
    conditional_write: bool
    verified: bool
    damaged: Damage
    winners: tuple[int, ...]
    readers: dict[str, int]
    lists: bool
    seconds: dict[str, float]
    meaning: tuple[str, ...]


def try_place(folder: str, opened: Callable[[], Store], impatient: Callable[[], Store] | None = None) -> Trial:
    """Read, write, list and delete below a folder, race writers under one condition, replace under a reader.

    An object is damaged on its way too.

    Args:
        folder: A URI or an absolute path.
        opened: Makes a store that reaches it; each writer of a race gets one.
        impatient: The same, of a store that tries everything once, as far as there is another one.

    Raises:
        NbstepError: The place cannot be used; the error says why.
    """
    probe = _Probe(folder, opened)
    try:
        probe.operations()
        winners = [probe.race(creates=turn % 2 == 0) for turn in range(2 * _ROUNDS)]
        readers = probe.readers()
        damaged = probe.damage((impatient or opened)())
    finally:
        probe.clean()
    store = probe.store
    promises = store.atomic_replace, probe.conditional, store.verified
    return Trial(
        folder=folder,
        atomic_replace=promises[0],
        conditional_write=promises[1],
        verified=promises[2],
        damaged=damaged,
        winners=tuple(winners),
        readers=readers,
        lists=probe.lists,
        seconds={name: round(seconds, 4) for name, seconds in probe.seconds.items()},
        meaning=tuple(_meaning(promises, winners, readers, lists=probe.lists)),
    )


@dataclass
class _Probe:
    folder: str
    opened: Callable[[], Store]
    seconds: dict[str, float] = field(default_factory=dict)
    lists: bool = True
    conditional: bool = True

    def __post_init__(self) -> None:
        self.store = self.opened()
        self.name = join(self.folder, f"nbstep-trial-{secrets.token_hex(6)}")
        self._names = [f"{self.name}.json", f"{self.name}.race.json"]

    def operations(self) -> None:
        """Each once, with the time that it took."""
        uri = self._names[0]
        version = self._timed("create", lambda: self.store.write(uri, b"{}", if_version=ABSENT))
        self._timed("replace", lambda: self.store.write(uri, b'{"turn": 2}', if_version=version))
        found = self._timed("read", lambda: self.store.read(uri))
        self._timed("stat", lambda: self.store.stat(uri))
        if found.data != b'{"turn": 2}':
            raise NbstepError(f"{self.folder} gives back other bytes than were written.", hint="Use another place.")
        try:
            self.lists = uri in {
                stat.uri for stat in self._timed("list", lambda: list(self.store.list(join(self.folder, ""))))
            }
        except NbstepError:
            self.lists = False

    def race(self, *, creates: bool) -> int:
        """How many of several clients win that write under one condition at once."""
        uri = self._names[1]
        self.store.delete(uri)
        version = ABSENT if creates else self.store.write(uri, b"before")
        stores, gate = [self.opened() for _ in range(_WRITERS)], threading.Barrier(_WRITERS)

        def write(number: int) -> bool:
            gate.wait()
            try:
                stores[number].write(uri, f"writer {number}".encode(), if_version=version)
            except OutputConflictError:
                return False
            return True

        with ThreadPoolExecutor(_WRITERS) as pool:
            winners = sum(pool.map(write, range(_WRITERS)))
        self.conditional &= self.store.conditional_write and winners == 1
        return winners

    def readers(self) -> dict[str, int]:
        """What a reader meets while an object is replaced."""
        uri, reader, met = self._names[1], self.opened(), dict.fromkeys(("whole", "nothing", "torn"), 0)
        self.store.write(uri, _WHOLES[0])

        def replace() -> None:
            for turn in range(_REPLACEMENTS):
                self.store.write(uri, _WHOLES[turn % 2])

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(replace)
            while not writing.done():
                try:
                    met["whole" if reader.read(uri).data in _WHOLES else "torn"] += 1
                except (InputNotFoundError, StorageDeniedError):  # Apache answers 403 between its look and its reading
                    met["nothing"] += 1
            writing.result()
        return met

    def damage(self, store: Store) -> Damage:
        """What becomes of an object that is damaged on its way."""
        uri, good = self._names[1], b"good"
        self.store.write(uri, good)
        with tempfile.TemporaryDirectory(prefix="nbstep-trial-") as folder:
            source = _Changing(folder, "object")
            source.touch()
            try:
                store.write(uri, source)
            except NbstepError:
                with suppress(NbstepError):  # what is in place may be known as damaged
                    return Damage.REFUSED if store.read(uri).data == good else Damage.FOUND
                return Damage.FOUND
            return Damage.NONE if source.read == 1 else Damage.MISSED

    def clean(self) -> None:
        """Delete every object that the trial has made."""
        for uri in self._names:
            with suppress(NbstepError):
                self._timed("delete", lambda uri=uri: self.store.delete(uri))  # type: ignore[misc]  # the object of this turn

    def _timed(self, name: str, action: Callable[[], _Result]) -> _Result:
        with self._clock(name):
            return action()

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = min(self.seconds.get(name, float("inf")), time.perf_counter() - began)


class _Changing(PosixPath):
    """A local file that holds other bytes each time that it is opened: those that are sent are not those digested."""

    read = 0

    def open(self, *arguments: Any, **options: Any) -> IO[Any]:  # type: ignore[override]  # passed on as they are
        """Open it, once it holds other bytes."""
        self.read += 1
        Path(self).write_bytes(secrets.token_bytes(100_000))
        opened: IO[Any] = super().open(*arguments, **options)
        return opened


def _meaning(
    promises: tuple[bool, bool, bool], winners: list[int], readers: dict[str, int], *, lists: bool
) -> Iterator[str]:
    atomic, conditional, verified = promises
    if conditional:
        yield "Of two runs that write one output, one loses and says so (73)."
    else:
        most = max(winners)
        seen = f"here {most} of {_WRITERS} writers won" if most > 1 else "it was not seen here"
        yield f"Two runs that write one output at the same moment may both believe to have won ({seen})."
    if atomic and not readers["torn"] + readers["nothing"]:
        yield "A reader finds the old notebook or the new one."
    elif readers["torn"]:
        yield "A reader may find a part of a notebook, and a writer that is killed may leave one."
    else:
        yield "A reader may find nothing, or a part, at the moment that a notebook is replaced."
    yield (
        "Exit code 0 means that the stored bytes were verified."
        if verified
        else ("What is stored could not be read back: exit code 0 rests on what the server says.")
    )
    if not lists:
        yield "Runs can be written there and not listed."
