"""Attempts that end at any moment of saving and restoring: the next one finds a folder as it once was, whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.stores import Blob, Source, Stat, Store
from nbstep_runner.testing import Habit, MemorySpace, MemoryStore
from support.states import ROOT, Attempt, held

T = TypeVar("T")
FOLDERS = (
    {"model": b"1", "fixed": b"fixed", "old": b"old"},
    {"model": b"2", "fixed": b"fixed", "new/a": b"a"},
    {"model": b"3", "fixed": b"fixed", "new/a": b"a", "new/b": b"b" * 5000},
    {"model": b"4", "fixed": b"fixed"},
)


class KilledError(BaseException):
    """The process is gone: nothing of ours may go on."""


class MortalStore:
    """A store whose process dies at its n-th operation, before or after it took effect; what comes later is nothing."""

    def __init__(self, store: Store, dies_at: int, *, after: bool) -> None:
        self._store = store
        self._left = dies_at
        self._after = after
        self.atomic_replace = store.atomic_replace
        self.conditional_write = store.conditional_write
        self.verified = store.verified

    def read(self, uri: str) -> Blob:
        return self._do(lambda: self._store.read(uri))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        return self._do(lambda: self._store.write(uri, data, if_version=if_version))

    def stat(self, uri: str) -> Stat | None:
        return self._do(lambda: self._store.stat(uri))

    def list(self, uri: str) -> Iterator[Stat]:
        return self._do(lambda: self._store.list(uri))

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        self._do(lambda: self._store.delete(uri, if_version=if_version))

    @property
    def survived(self) -> bool:
        return self._left > 0

    def _do(self, operation: Callable[[], T]) -> T:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._after):
            raise KilledError
        result = operation()
        if self._left == 0:
            raise KilledError
        return result


def live(store: Store, folder: Path, folders: tuple[dict[str, bytes], ...]) -> int:
    """An attempt that saves one folder after another; how many it has saved when it ends or dies."""
    saved = 0
    try:
        attempt = Attempt(store, folder)
        for files in folders:
            attempt.save(files)
            saved += 1
    except KilledError:
        pass
    return saved


@pytest.mark.slow
@pytest.mark.fault(60)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("habits", [(), (Habit.LATE_CHECKS, Habit.RENAME_REPLACES)], ids=["conditions", "none"])
def test_killed_at_every_operation_of_saving(tmp_path: Path, after: bool, habits: tuple[Habit, ...]) -> None:
    moments = 0
    survived = False
    while not survived:
        moments += 1
        space = MemorySpace()
        mortal = MortalStore(MemoryStore(space, habits=habits), moments, after=after)
        saved = live(mortal, tmp_path / f"first{moments}", FOLDERS)
        survived = mortal.survived

        heir = Attempt(MemoryStore(space, habits=habits), tmp_path / f"second{moments}")
        possible = [{}, *FOLDERS][saved : saved + 2]
        assert held(heir.folder) in possible, f"killed at operation {moments}"
        assert not heir.warnings
        heir.save({"heir": b"heir"})
        heir.save({"heir": b"heir 2"})
        uris = [stat.uri for stat in MemoryStore(space).list(ROOT)]
        assert len(uris) == 4, f"killed at operation {moments}: {uris}"
    assert moments > 15


@pytest.mark.fault(60)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_operation_of_restoring(tmp_path: Path, after: bool) -> None:
    space = MemorySpace()
    live(MemoryStore(space), tmp_path / "first", FOLDERS[:3])
    before = {stat.uri: stat.version for stat in MemoryStore(space).list(ROOT)}
    for moment in range(1, 6):
        live(MortalStore(MemoryStore(space), moment, after=after), tmp_path / f"killed{moment}", ())
        assert {stat.uri: stat.version for stat in MemoryStore(space).list(ROOT)} == before
    assert held(Attempt(MemoryStore(space), tmp_path / "last").folder) == FOLDERS[2]


names = st.sampled_from(["a", "b", "c/d", "c/e"])
folders = st.dictionaries(names, st.sampled_from([b"", b"1", b"2", b"3" * 3000]), min_size=1)
lives = st.lists(st.tuples(st.lists(folders, min_size=1, max_size=3), st.integers(1, 40), st.booleans()), max_size=4)


@pytest.mark.slow
@given(lives)
@settings(max_examples=60, deadline=None)
def test_whatever_attempts_save_and_whenever_they_die_each_begins_with_a_folder_that_was(
    attempts: list[tuple[list[dict[str, bytes]], int, bool]],
) -> None:
    space = MemorySpace()
    possible: list[dict[str, bytes]] = [{}]
    with tempfile.TemporaryDirectory() as scratch:
        for number, (wanted, dies_at, after) in enumerate(attempts):
            saved = live(MortalStore(MemoryStore(space), dies_at, after=after), Path(scratch, str(number)), (*wanted,))
            possible = [possible, *([each] for each in wanted)][saved] + wanted[saved : saved + 1]
            heir = Attempt(MemoryStore(space), Path(scratch, f"{number}-heir"))
            assert held(heir.folder) in possible
            assert not heir.warnings
