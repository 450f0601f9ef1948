"""Declared files arrive whole, where they were declared, and nowhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nbstep_runner.contract import InputFile
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.session.files import place_files
from nbstep_runner.stores import open_store


def declared(source: Path, path: str) -> InputFile:
    return InputFile(path=path, uri=str(source), checksum=f"sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)))
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def test_files_arrive_where_they_were_declared(source: Path, work: Path) -> None:
    place_files([declared(source, "a"), declared(source, "b/c/d.bin")], work, open_store)
    assert sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()) == ["a", "b/c/d.bin"]
    assert (work / "b/c/d.bin").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("path", ["", "/etc/x", "../x", "a/../../x", "a/./b", ".", "a\\b", "a\0b"])
def test_a_place_outside_is_refused_before_anything_is_written(source: Path, work: Path, path: str) -> None:
    with pytest.raises(BadInputError, match="is refused"):
        place_files([declared(source, "fine"), declared(source, path)], work, open_store)
    assert list(work.iterdir()) == []


def test_a_link_is_not_followed_out(source: Path, work: Path, tmp_path: Path) -> None:
    (work / "link").symlink_to(tmp_path)
    with pytest.raises(BadInputError, match="leads out"):
        place_files([declared(source, "link/sub/x")], work, open_store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.bin", "work"]


def test_a_link_at_the_place_itself_is_replaced(source: Path, work: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (work / "x").symlink_to(victim)
    place_files([declared(source, "x")], work, open_store)
    assert victim.read_text() == "precious"
    assert (work / "x").read_bytes() == source.read_bytes()


def test_changed_bytes_are_refused(source: Path, work: Path) -> None:
    file = declared(source, "x")
    source.write_bytes(b"other")
    with pytest.raises(BadInputError, match="checksum differs"):
        place_files([file], work, open_store)
    assert list(work.iterdir()) == []


def test_a_missing_file_is_named(source: Path, work: Path) -> None:
    file = declared(source, "x")
    source.unlink()
    with pytest.raises(InputNotFoundError, match=r"source\.bin"):
        place_files([file], work, open_store)


def test_files_that_stand_in_each_others_way_are_refused(source: Path, work: Path) -> None:
    (work / "taken").mkdir()
    with pytest.raises(BadInputError, match="something else has its name"):
        place_files([declared(source, "taken")], work, open_store)
    (work / "file").write_text("")
    with pytest.raises(BadInputError, match="something else has its name"):
        place_files([declared(source, "file/below")], work, open_store)
    assert sorted(path.name for path in work.iterdir()) == ["file", "taken"]
