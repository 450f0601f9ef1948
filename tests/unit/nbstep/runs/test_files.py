"""Collected files on their way back: only what the record says, and never outside of the folder that was named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from nbstep.runs.files import chosen, download, file_uri
from nbstep_runner.contract import CollectedFile
from nbstep_runner.errors import BadInputError, StorageDeniedError
from nbstep_runner.stores.memory import MemorySpace, MemoryStore

OUTPUT = "memory://runs/r/output.ipynb"


def stored(store: MemoryStore, path: str, data: bytes = b"data") -> CollectedFile:
    store.write(file_uri(OUTPUT, path), data)
    return CollectedFile(path=path, size=len(data), checksum=f"sha256:{hashlib.sha256(data).hexdigest()}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemorySpace())


def test_a_file_comes_to_its_path_over_what_is_there(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "to/model").mkdir(parents=True)
    (tmp_path / "to/model/w {1}").write_text("old")
    assert download(store, OUTPUT, stored(store, "model/w {1}"), tmp_path / "to") == tmp_path / "to/model/w {1}"
    assert [path.name for path in (tmp_path / "to/model").iterdir()] == ["w {1}"]
    assert (tmp_path / "to/model/w {1}").read_bytes() == b"data"


def test_other_bytes_than_the_record_names_are_refused(store: MemoryStore, tmp_path: Path) -> None:
    file = replace(stored(store, "a"), checksum="sha256:0")
    with pytest.raises(BadInputError, match="a is not the file that the record names"):
        download(store, OUTPUT, file, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(74)
@pytest.mark.parametrize("path", ["../a", "/etc/a", "a/../../b", "", "a\0b"])
def test_a_record_that_was_forged_writes_nothing_outside(store: MemoryStore, tmp_path: Path, path: str) -> None:
    file = CollectedFile(path=path, size=0, checksum="")
    with pytest.raises(BadInputError, match="outside of the run"):
        download(store, OUTPUT, file, tmp_path / "to")


@pytest.mark.fault(74)
def test_a_link_on_the_way_is_not_followed(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to/model").symlink_to(tmp_path)
    with pytest.raises(BadInputError, match="a folder on the way is a link"):
        download(store, OUTPUT, stored(store, "model/a"), tmp_path / "to")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_is_told(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "to").write_text("a file")
    with pytest.raises(StorageDeniedError, match="cannot be written"):
        download(store, OUTPUT, stored(store, "a"), tmp_path / "to")


def test_patterns_choose_and_one_that_takes_nothing_is_told(store: MemoryStore) -> None:
    files = [stored(store, path) for path in ("a.csv", "model/w", "b.txt")]
    assert [file.path for file in chosen(files, ["model/", "*.csv"])] == ["a.csv", "model/w"]
    assert chosen(files, []) == files
    with pytest.raises(BadInputError, match=r"no collected file is taken by '\*.png'"):
        chosen(files, ["*.csv", "*.png"])


def test_one_pattern_need_not_be_a_list() -> None:
    files = [CollectedFile(path=path, size=0, checksum="") for path in ("model/w", "a.csv")]
    assert [file.path for file in chosen(files, "model/")] == ["model/w"]
