"""``MemoryStore`` as servers really are: what such a store must not promise, and what it does."""

from __future__ import annotations

import pytest

from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import ABSENT
from nbstep_runner.testing import Habit, MemorySpace, MemoryStore

URI = "memory://habits/a"


@pytest.mark.fault(66)
@pytest.mark.parametrize("habit", [Habit.LATE_CHECKS, Habit.RENAME_REPLACES])
def test_a_condition_that_is_checked_too_early_lets_two_win(habit: Habit) -> None:
    space = MemorySpace()
    other = MemoryStore(space)
    store = MemoryStore(space, habits={habit}, meanwhile=lambda: other.write(URI, b"theirs", if_version=ABSENT))
    store.write(URI, b"ours", if_version=ABSENT)
    assert store.read(URI).data == b"ours"
    assert not store.conditional_write
    with pytest.raises(OutputConflictError):
        store.write(URI, b"again", if_version=ABSENT)


@pytest.mark.fault(66)
def test_a_weak_version_hides_a_change() -> None:
    store = MemoryStore(MemorySpace(), habits={Habit.WEAK_VERSIONS})
    first = store.write(URI, b"1")
    assert store.write(URI, b"2") == first
    store.write(URI, b"3", if_version=first)
    assert not store.conditional_write


@pytest.mark.fault(66)
def test_a_gap_is_seen_by_readers_and_by_no_writer() -> None:
    found: list[object] = []
    space = MemorySpace()
    reader = MemoryStore(space)
    store = MemoryStore(space, habits={Habit.GAP}, meanwhile=lambda: found.append(reader.stat(URI)))
    version = store.write(URI, b"1", if_version=ABSENT)
    store.write(URI, b"2", if_version=version)
    assert found == [None, None]
    assert (store.atomic_replace, store.conditional_write) == (False, True)
