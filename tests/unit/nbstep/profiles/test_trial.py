"""What ``nbstep stores URI`` finds out of places with habits of all kinds."""

from __future__ import annotations

import time

import pytest

from nbstep.profiles.trial import try_place
from nbstep_runner.errors import StorageDeniedError
from nbstep_runner.testing import Fault, FaultyStore, Habit, MemorySpace, MemoryStore

FOLDER = "memory://tried/runs"


def _store(space: MemorySpace, *habits: Habit) -> MemoryStore:
    return MemoryStore(space, habits=habits, meanwhile=lambda: time.sleep(0.01))


def test_a_place_that_keeps_every_promise() -> None:
    space = MemorySpace()
    trial = try_place(FOLDER, lambda: _store(space))
    assert (trial.atomic_replace, trial.conditional_write, trial.verified, trial.lists) == (True, True, True, True)
    assert set(trial.winners) == {1}
    assert trial.readers["nothing"] == trial.readers["torn"] == 0
    assert trial.seconds.keys() == {"create", "replace", "read", "stat", "list", "delete"}
    assert space.entries == {}, "nothing is left behind"


@pytest.mark.fault(66)
def test_conditions_that_are_checked_too_early_are_said_to_fail() -> None:
    space = MemorySpace()
    trial = try_place(FOLDER, lambda: _store(space, Habit.LATE_CHECKS))
    assert not trial.conditional_write
    assert max(trial.winners) > 1
    assert any("both believe to have won" in sentence for sentence in trial.meaning)


@pytest.mark.fault(66)
def test_a_gap_is_seen_and_said() -> None:
    space = MemorySpace()
    trial = try_place(FOLDER, lambda: _store(space, Habit.GAP))
    assert not trial.atomic_replace
    assert trial.readers["nothing"] > 0
    assert any("A reader may find nothing" in sentence for sentence in trial.meaning)


def test_a_promise_that_does_not_hold_is_not_repeated() -> None:
    """A store that promises, on a server that does not keep it."""

    class Boastful(MemoryStore):
        def __init__(self, space: MemorySpace) -> None:
            super().__init__(space, habits={Habit.LATE_CHECKS}, meanwhile=lambda: time.sleep(0.01))
            self.conditional_write = True

    space = MemorySpace()
    assert not try_place(FOLDER, lambda: Boastful(space)).conditional_write


def test_a_place_that_may_not_be_written_is_told_of_and_left_as_it_was() -> None:
    space = MemorySpace()
    denied = Fault(operation="write", error=StorageDeniedError("The bucket is not yours."), times=None)
    with pytest.raises(StorageDeniedError, match="not yours"):
        try_place(FOLDER, lambda: FaultyStore(_store(space), [denied]))
    assert space.entries == {}
