"""Restoring: the newest generation that is whole, and nothing that a damaged or forged one says."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from nbstep_runner.contract import decode, encode
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.state.generations import Generation, Shelf, StoredFile, sealed
from nbstep_runner.testing import Fault, FaultyStore, MemorySpace, MemoryStore
from support.states import ROOT, TEMPLATE, Attempt, held

NEWEST = f"{ROOT}generations/000002.json"


@pytest.fixture
def space(tmp_path: Path) -> MemorySpace:
    space = MemorySpace()
    attempt = Attempt(MemoryStore(space), tmp_path / "saved")
    attempt.save({"model": b"old", "fixed": b"fixed"})
    attempt.save({"model": b"new", "fixed": b"fixed"})
    return space


def piece_of(store: MemoryStore, path: str) -> str:
    files = decode(store.read(NEWEST).data, Generation).files
    return f"{ROOT}pieces/{next(file.pieces[0] for file in files if file.path == path)}"


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("list cut off", "its list of files is not what was written"),
        ("list changed", "its list of files is not what was written"),
        ("list of another number", "its list of files is not what was written"),
        ("piece changed", "the checksum of a piece differs"),
        ("piece gone", "a piece of it is gone"),
    ],
)
def test_of_a_damaged_generation_the_one_before_is_taken_and_that_is_said(
    tmp_path: Path, space: MemorySpace, damage: str, words: str
) -> None:
    store = MemoryStore(space)
    data = store.read(NEWEST).data
    if damage == "list cut off":
        store.write(NEWEST, data[: len(data) // 2])
    elif damage == "list changed":
        store.write(NEWEST, data.replace(b'"path":"model"', b'"path":"muddle"'))
    elif damage == "list of another number":
        store.write(NEWEST, store.read(f"{ROOT}generations/000001.json").data)
    elif damage == "piece changed":
        store.write(piece_of(store, "model"), b"n3w")
    else:
        store.delete(piece_of(store, "model"))

    attempt = Attempt(store, tmp_path / "next")

    assert held(attempt.folder) == {"model": b"old", "fixed": b"fixed"}
    assert attempt.warnings == [f"generation 2 of the state is damaged and passed over: {words}"]
    attempt.save({"model": b"newer", "fixed": b"fixed"})
    after = Attempt(store, tmp_path / "after")
    assert held(after.folder) == {"model": b"newer", "fixed": b"fixed"}
    assert not after.warnings


def test_where_no_generation_is_whole_the_run_begins_anew_and_that_is_said(tmp_path: Path, space: MemorySpace) -> None:
    store = MemoryStore(space)
    store.delete(piece_of(store, "fixed"))

    attempt = Attempt(store, tmp_path / "next")

    assert attempt.found.generation is None
    assert not held(attempt.folder)
    assert len(attempt.warnings) == 2


def test_a_store_that_does_not_answer_is_no_damage(tmp_path: Path, space: MemorySpace) -> None:
    """To begin anew would give away what is stored."""
    away = Fault(operation="read", error=StorageUnavailableError("away"), times=None)
    with pytest.raises(StorageUnavailableError):
        Attempt(FaultyStore(MemoryStore(space), [away]), tmp_path / "next")


@pytest.mark.parametrize(
    "files",
    [
        (StoredFile("../outside", 0, 0o644, 0, ()),),
        (StoredFile("/outside", 0, 0o644, 0, ()),),
        (StoredFile("a/../../outside", 0, 0o644, 0, ()),),
        (StoredFile("a", 0, 0o644, 0, ()), StoredFile("a", 0, 0o644, 0, ())),
        (StoredFile("folder/a", 0, 0o644, 0, ()),),
        (StoredFile("a", 10**15, 0o644, 0, ("0" * 64,)),),
        (StoredFile("a", 1, 0o644, 0, ("../../out.ipynb",)),),
    ],
    ids=["above", "absolute", "through", "twice", "folder", "size", "piece"],
)
def test_a_forged_list_writes_nothing_outside_of_the_folder(tmp_path: Path, files: tuple[StoredFile, ...]) -> None:
    store = MemoryStore(MemorySpace())
    forged = replace(TEMPLATE, number=1, files=files)
    store.write(f"{ROOT}generations/000001.json", encode(sealed(forged)))

    attempt = Attempt(store, tmp_path / "next")

    assert attempt.found.generation is None
    assert [path.name for path in tmp_path.iterdir()] == ["next"]
    assert not held(attempt.folder)
    assert len(attempt.warnings) == 1


def test_no_mode_of_a_file_makes_it_unreadable_or_privileged(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    first = Attempt(store, tmp_path / "1")
    (first.folder / "a").write_bytes(b"1")
    saved = first.saver.save()
    assert saved is not None
    shelf = Shelf(store, ROOT)
    shelf.write(sealed(replace(saved, number=2, files=(replace(saved.files[0], mode=0o4000),))))

    restored = Attempt(store, tmp_path / "2")

    assert (restored.folder / "a").stat().st_mode & 0o7777 == 0o600


@pytest.mark.fault(60)
def test_a_disk_that_cannot_take_it_is_told_and_what_is_stored_stays(tmp_path: Path) -> None:
    store = MemoryStore(MemorySpace())
    Attempt(store, tmp_path / "saved").save({"model": bytes(2_000_000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(
            StorageUnavailableError, match=r"generation 1 of the state cannot be restored: File too large"
        ):
            Attempt(store, tmp_path / "small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(held(Attempt(store, tmp_path / "next").folder)["model"]) == 2_000_000
