"""A state folder stored in generations: what is sent, what is kept, what is refused, and what comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from nbstep_runner.errors import BadInputError, OutputConflictError, StorageUnavailableError
from nbstep_runner.state.generations import PIECE_BYTES, Generation
from nbstep_runner.stores import Source, Store
from nbstep_runner.testing import Call, Fault, FaultyStore, Habit, MemorySpace, MemoryStore
from support.states import ROOT, TEMPLATE, Attempt, fill, held

MODEL = {"model.bin": bytes(range(256)) * 100, "logs/a.txt": b"epoch 1\n", "empty": b""}


def sent(store: FaultyStore) -> list[Call]:
    return [call for call in store.calls if call.operation == "write" and "/pieces/" in call.uri]


def objects(store: Store) -> tuple[int, int]:
    """How many generations and pieces are stored."""
    uris = [stat.uri for stat in store.list(ROOT)]
    return sum("/generations/" in uri for uri in uris), sum("/pieces/" in uri for uri in uris)


def test_what_was_saved_comes_back_with_its_folders_times_and_permissions(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    first = Attempt(store, tmp_path / "1")
    (first.folder / "nothing in it").mkdir()
    fill(first.folder, MODEL)
    (first.folder / "nothing in it").mkdir()
    (first.folder / "model.bin").chmod(0o700)
    os.utime(first.folder / "model.bin", ns=(10**18, 10**18 + 1))
    saved = first.saver.save()

    second = Attempt(store, tmp_path / "2")

    assert held(second.folder) == MODEL
    assert (second.folder / "nothing in it").is_dir()
    assert (second.folder / "model.bin").stat().st_mtime_ns == 10**18 + 1
    assert (second.folder / "model.bin").stat().st_mode & 0o777 == 0o700
    assert saved is not None
    assert second.found.generation is not None
    assert (second.found.generation.number, second.found.generation.files) == (saved.number, saved.files)
    assert not second.warnings


def test_nothing_is_restored_where_nothing_was_saved_and_an_empty_folder_is_not_saved(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    attempt = Attempt(store, tmp_path / "1")

    assert attempt.found.generation is None
    assert attempt.save({}) is None
    assert objects(store) == (0, 0)


def test_what_did_not_change_is_not_sent_again_by_this_attempt_or_the_next(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore(MemorySpace()))
    first = Attempt(store, tmp_path / "1")
    first.save(MODEL)
    assert len(sent(store)) == 2  # an empty file has no bytes

    first.save(MODEL | {"new": b"new"})
    assert len(sent(store)) == 3

    second = Attempt(store, tmp_path / "2")
    second.save(held(second.folder) | {"newer": b"newer"})
    assert len(sent(store)) == 4
    assert held(Attempt(store, tmp_path / "3").folder) == MODEL | {"new": b"new", "newer": b"newer"}


def test_of_a_large_file_only_the_pieces_that_changed_are_sent(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore(MemorySpace()))
    attempt = Attempt(store, tmp_path / "1")
    data = bytearray(os.urandom(2 * PIECE_BYTES + 5))
    attempt.save({"model": bytes(data)})
    data[PIECE_BYTES] ^= 1
    attempt.save({"model": bytes(data)})

    assert sorted(call.size for call in sent(store)) == [5, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]
    assert held(Attempt(store, tmp_path / "2").folder) == {"model": bytes(data)}


def test_a_folder_that_did_not_change_makes_no_generation(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore(MemorySpace()))
    attempt = Attempt(store, tmp_path / "1")
    saved = attempt.save(MODEL)
    writes = len([call for call in store.calls if call.operation == "write"])

    assert attempt.saver.save() == saved
    assert Attempt(store, tmp_path / "2").saver.save() == saved
    assert len([call for call in store.calls if call.operation == "write"]) == writes


def test_old_generations_and_what_only_they_need_are_removed(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    attempt = Attempt(store, tmp_path / "1")
    for number in range(9):
        attempt.save({"model": b"%d" % number, "fixed": b"fixed"})

    assert objects(store) == (2, 3)
    assert {stat.uri[-11:] for stat in store.list(f"{ROOT}generations/")} == {"000008.json", "000009.json"}


def test_what_a_killed_save_has_left_is_removed_by_the_next_attempt(tmp_path: Path) -> None:
    space = MemorySpace()
    refused = Fault(operation="write", suffix=".json", error=StorageUnavailableError("away"), times=None)
    broken = Attempt(FaultyStore(MemoryStore(space), [refused]), tmp_path / "1")
    with pytest.raises(StorageUnavailableError):
        broken.save({"a": b"lost"})
    assert objects(MemoryStore(space)) == (0, 1)

    Attempt(MemoryStore(space), tmp_path / "2").save({"b": b"kept"})
    assert objects(MemoryStore(space)) == (1, 1)


def test_objects_that_are_none_of_ours_stay(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    for name in ("notes.txt", "pieces/mine", "generations/mine.json", "generations/1.json"):
        store.write(ROOT + name, b"mine")
    attempt = Attempt(store, tmp_path / "1")
    for number in range(3):
        attempt.save({"a": b"%d" % number})

    assert sum(store.read(stat.uri).data == b"mine" for stat in store.list(ROOT)) == 4


@pytest.mark.fault(60)
def test_a_folder_that_is_too_large_is_not_saved_and_the_generation_before_stays(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    attempt = Attempt(store, tmp_path / "1", largest=1000)
    attempt.save({"a": b"x" * 900})
    with pytest.raises(BadInputError, match="holds 1001 bytes, may hold 1000"):
        attempt.save({"a": b"x" * 1001})
    assert held(Attempt(store, tmp_path / "2").folder) == {"a": b"x" * 900}
    with pytest.raises(BadInputError, match="--state-limit"):
        Attempt(store, tmp_path / "3", largest=899)


def test_links_and_pipes_are_left_out_and_told_once(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    (tmp_path / "secret").write_bytes(b"secret")
    attempt = Attempt(store, tmp_path / "1")
    (attempt.folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(attempt.folder / "pipe")
    (attempt.folder / "a").write_bytes(b"1")
    attempt.saver.save()
    (attempt.folder / "a").write_bytes(b"22")
    attempt.saver.save()

    assert attempt.warnings == [
        "link is not saved with the state: it is a link",
        "pipe is not saved with the state: it is a pipe, a socket or a device",
    ]
    assert held(Attempt(store, tmp_path / "2").folder) == {"a": b"22"}


class Busy(FaultyStore):
    """Each piece that is sent finds the notebook replacing two files that belong together."""

    def __init__(self, space: MemorySpace, folder: Path, versions: Iterator[bytes]) -> None:
        super().__init__(MemoryStore(space))
        self._folder = folder
        self._versions = versions
        self._one_notebook = threading.Lock()

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        with self._one_notebook:
            if version := next(self._versions, b""):
                fill(self._folder, {"weights": version * 50, "epoch": version})
        return super().write(uri, data, if_version=if_version)


def test_a_generation_is_the_folder_at_one_moment_although_it_changes_meanwhile(tmp_path: Path) -> None:
    space = MemorySpace()
    attempt = Attempt(Busy(space, tmp_path / "1", iter((b"2", b"3"))), tmp_path / "1")
    fill(attempt.folder, {"weights": b"1" * 50, "epoch": b"1"})
    attempt.saver.save()

    restored = held(Attempt(MemoryStore(space), tmp_path / "2").folder)
    assert restored == {"weights": b"3" * 50, "epoch": b"3"}


@pytest.mark.slow
def test_a_folder_that_never_rests_is_not_saved(tmp_path: Path) -> None:
    space = MemorySpace()
    attempt = Attempt(Busy(space, tmp_path / "1", (b"%d" % number for number in count(2))), tmp_path / "1")
    fill(attempt.folder, {"weights": b"1" * 50, "epoch": b"1"})
    with pytest.raises(StorageUnavailableError, match="written to all the time"):
        attempt.saver.save()
    assert objects(MemoryStore(space))[0] == 0


def test_a_file_that_is_changed_back_to_its_size_in_the_same_moment_is_read_again(tmp_path: Path) -> None:
    """Its times may be too coarse to show it: what was written just now is not believed to be what it was."""
    store = MemoryStore(MemorySpace())
    attempt = Attempt(store, tmp_path / "1")
    path = attempt.folder / "a"
    path.write_bytes(b"1")
    before = path.stat()
    attempt.saver.save()
    with path.open("r+b") as file:
        file.write(b"2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    attempt.saver.save()

    assert held(Attempt(store, tmp_path / "2").folder) == {"a": b"2"}


@pytest.mark.fault(60)
def test_an_attempt_that_lost_its_claim_writes_no_generation(tmp_path: Path) -> None:
    def lost() -> None:
        raise OutputConflictError("another run has taken this output")

    store = MemoryStore(MemorySpace())
    Attempt(store, tmp_path / "1").save({"a": b"1"})
    with pytest.raises(OutputConflictError):
        Attempt(store, tmp_path / "2", confirm=lost).save({"a": b"2"})
    assert held(Attempt(store, tmp_path / "3").folder) == {"a": b"1"}


@pytest.mark.fault(60)
@pytest.mark.parametrize("habits", [(), (Habit.LATE_CHECKS, Habit.RENAME_REPLACES)], ids=["conditions", "none"])
def test_two_attempts_that_both_believe_to_have_the_output_leave_whole_generations(
    tmp_path: Path, habits: tuple[Habit, ...]
) -> None:
    """One stood still for longer than its lease, and wakes between the other's saves."""
    store = MemoryStore(MemorySpace(), habits=habits)
    sleeper = Attempt(store, tmp_path / "1")
    sleeper.save({"a": b"1", "shared": b"shared"})
    heir = Attempt(store, tmp_path / "2")
    heir.save({"a": b"heir 1", "shared": b"shared"})
    sleeper.save({"a": b"sleeper", "shared": b"shared"})
    heir.save({"a": b"heir 2", "shared": b"shared"})
    heir.save({"a": b"heir 3", "shared": b"shared"})

    last = Attempt(store, tmp_path / "3")
    assert held(last.folder)["a"] in {b"heir 3", b"sleeper"}
    assert held(last.folder)["shared"] == b"shared"
    assert not last.warnings


def test_a_generation_whose_answer_was_lost_is_recognised(tmp_path: Path) -> None:
    space = MemorySpace()
    lost = Fault(operation="write", suffix="000001.json", error=OutputConflictError("it is there"), after=True)
    attempt = Attempt(FaultyStore(MemoryStore(space), [lost]), tmp_path / "1")

    saved = attempt.save({"a": b"1"})

    assert saved is not None
    assert saved.number == 1
    assert objects(MemoryStore(space)) == (1, 1)


def test_no_generation_comes_to_be_once_the_run_has_ended(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    attempt = Attempt(store, tmp_path / "1")
    attempt.saver.close()
    with pytest.raises(StorageUnavailableError, match="the run ended"):
        attempt.save({"a": b"1"})
    assert objects(store) == (0, 0)


def test_the_work_that_a_generation_is_of_and_who_saved_it_are_in_it(tmp_path: Path) -> None:
    saved = Attempt(MemoryStore(MemorySpace()), tmp_path / "1").save({"a": b"1"})
    assert isinstance(saved, Generation)
    assert (saved.run_id, saved.attempt, saved.content) == (TEMPLATE.run_id, TEMPLATE.attempt, TEMPLATE.content)


class Refusing(MemoryStore):
    """A store that takes no generation, and shows none: as one would that lists names which it was not asked for."""

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        if "/generations/" in uri:
            raise OutputConflictError("it is there")
        return super().write(uri, data, if_version=if_version)


def test_a_store_that_never_takes_a_generation_ends_the_save(tmp_path: Path) -> None:
    with pytest.raises(OutputConflictError):
        Attempt(Refusing(MemorySpace()), tmp_path / "1").save({"a": b"1"})
