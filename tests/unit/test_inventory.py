"""A folder taken in: regular files only, nothing outside of it, and no file that changed while it was read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from nbstep_runner.inventory import (
    DEEPEST,
    ChangedError,
    Refused,
    TooManyEntriesError,
    is_plain,
    pieces_of,
    take_inventory,
)
from support import disks


def test_files_at_any_depth_with_sizes_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "b" / "model.bin").write_bytes(b"x" * 3_000_000)
    (tmp_path / "täglich.txt").write_text("1")
    (tmp_path / "tool").touch(mode=0o755)

    found = take_inventory(tmp_path, most=100)

    assert [(file.path, file.size) for file in found.files] == [
        ("a/b/model.bin", 3_000_000),
        ("tool", 0),
        ("täglich.txt", 1),
    ]
    assert found.folders == ("a", "a/b", "empty")
    assert found.size == 3_000_001
    assert found.files[1].mode == 0o755
    assert b"".join(pieces_of(tmp_path, found.files[0])) == b"x" * 3_000_000
    assert [len(piece) for piece in pieces_of(tmp_path, found.files[0], 2_000_000)] == [2_000_000, 1_000_000]
    assert not list(pieces_of(tmp_path, found.files[1]))


def test_links_devices_and_odd_names_are_refused_and_never_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("s")
    (inside / "link").symlink_to(outside / "secret")
    (inside / "folder").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(inside / "socket"))
        (inside / "line\nbreak").touch()
        (inside / "back\\slash").touch()
        Path(os.fsdecode(os.fsencode(inside) + b"/caf\xe9")).touch()
        (inside / "odd\u202ename").mkdir()
        (inside / "odd\u202ename" / "kept").touch()

        found = take_inventory(inside, most=100)

    assert not found.files
    assert not found.folders
    assert {refused.path: refused.reason for refused in found.refused} == {
        "link": "it is a link",
        "folder": "it is a link",
        "pipe": "it is a pipe, a socket or a device",
        "socket": "it is a pipe, a socket or a device",
        **dict.fromkeys(
            ("line\nbreak", "back\\slash", "caf\\udce9", "odd\u202ename"),
            "its name has characters that cannot be written down everywhere",
        ),
    }


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../x", "a//b", "a/", ".", "a\0b", "a\\b", "caf\udce9"])
def test_paths_that_leave_the_folder_or_cannot_be_written_down_are_not_plain(path: str) -> None:
    assert not is_plain(path)


def test_too_many_entries_are_not_taken_in(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).touch()

    assert len(take_inventory(tmp_path, most=4).files) == 4
    with pytest.raises(TooManyEntriesError):
        take_inventory(tmp_path, most=3)


def test_folders_without_end_are_bounded(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (DEEPEST + 3))
    deep.mkdir(parents=True)
    (deep / "file").touch()

    found = take_inventory(tmp_path, most=1000)

    assert not found.files
    assert len(found.refused) == 1


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"1" * 100)
    (found,) = take_inventory(tmp_path, most=10).files
    pieces = pieces_of(tmp_path, found, 60)
    next(pieces)
    with path.open("ab") as file:
        file.write(b"2")

    with pytest.raises(ChangedError):
        list(pieces)


@pytest.mark.parametrize("becomes", ["nothing", "link", "other"])
def test_what_took_a_files_place_is_not_read(tmp_path: Path, becomes: str) -> None:
    folder = tmp_path / "state"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "model").write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model").write_text("else")
    (found,) = take_inventory(folder, most=10).files
    (folder / "a").rename(tmp_path / "away")
    if becomes == "link":
        (folder / "a").symlink_to(tmp_path / "away")
    elif becomes == "other":
        (tmp_path / "a").rename(folder / "a")

    with pytest.raises(ChangedError):
        list(pieces_of(folder, found))


def test_a_folder_that_is_closed_to_us_hides_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as lost+found of a mounted file system. Root may read everything, so the system's answer is made here."""
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("1")
    disks.close(monkeypatch, "closed")
    found = take_inventory(tmp_path, most=10)
    assert [file.path for file in found.files] == ["open/a.csv"]
    assert found.unread == (Refused("closed", "permission denied"),)
