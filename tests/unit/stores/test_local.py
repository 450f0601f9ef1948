"""Local files: whole, safe on disk, and with clear words where the operating system refuses."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores import ABSENT, atomicfile, content, local, open_store
from nbstep_runner.stores.local import LocalStore

STORE = LocalStore()


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
40 27 0:52 / /data\\040of\\040all rw,relatime - nfs4 server:/export rw,vers=4.2
"""


@pytest.mark.parametrize(("device", "kind"), [((254, 0), "ext4"), ((0, 52), "nfs4"), ((0, 5), "")])
def test_a_filesystem_is_told_by_its_device(device: tuple[int, int], kind: str) -> None:
    assert atomicfile.filesystem_of(os.makedev(*device), MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "promised"),
    [("ext4", True), ("overlay", True), ("fuseblk", True), ("nfs", False), ("cifs", False), ("fuse.gcsfuse", False)],
)
def test_conditions_are_best_effort_where_other_clients_see_no_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, promised: bool
) -> None:
    monkeypatch.setattr(atomicfile, "filesystem_of", lambda *_: kind)
    store = LocalStore()
    store.write(str(tmp_path / "a"), b"x", if_version=ABSENT)
    assert store.conditional_write is promised
    with pytest.raises(OutputConflictError):
        store.write(str(tmp_path / "a"), b"y", if_version=ABSENT)


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        STORE.write(str(tmp_path / "a"), b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_relative_path_with_dots_is_resolved_as_the_kernel_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``link/..`` is the folder above what the link points to."""
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "inner")
    monkeypatch.chdir(tmp_path / "here")
    STORE.write("link/../a.ipynb", b"x")
    assert (tmp_path / "far" / "a.ipynb").read_bytes() == b"x"
    assert STORE.read("../far/a.ipynb").data == b"x"


@pytest.mark.fault(38)
def test_an_output_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "out.ipynb").symlink_to(tmp_path / "target")
    for condition in (None, ABSENT):
        with pytest.raises(BadInputError, match="symbolic link"):
            STORE.write(str(tmp_path / "out.ipynb"), b"x", if_version=condition)
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_an_input_that_is_a_link_is_read(tmp_path: Path) -> None:
    """Mounted ConfigMaps and Secrets are links."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "params.yaml").write_bytes(b"a: 1")
    (tmp_path / "params.yaml").symlink_to("..data/params.yaml")
    assert STORE.read(str(tmp_path / "params.yaml")).data == b"a: 1"


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """As ``<(command)`` gives one."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"a: 1\n" * 50_000,))
    writer.start()
    assert STORE.read(str(tmp_path / "pipe")).data == b"a: 1\n" * 50_000
    writer.join()


@pytest.mark.fault(56)
@pytest.mark.parametrize(
    "written", [None, b"", b"a: 1"], ids=["nobody", "a writer that is silent", "a writer that stops"]
)
def test_a_pipe_whose_end_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bytes | None
) -> None:
    monkeypatch.setattr(local, "_PIPE_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe")
    writer = None if written is None else os.open(tmp_path / "pipe", os.O_RDWR)
    if writer is not None and written:
        os.write(writer, written)
    with pytest.raises(BadInputError, match="its end did not come"):
        STORE.read(str(tmp_path / "pipe"))
    if writer is not None:
        os.close(writer)


@pytest.mark.fault(36)
def test_a_pipe_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "READ_LIMIT", 1000)
    os.mkfifo(tmp_path / "pipe")
    done: list[str] = []

    def flood() -> None:
        try:
            (tmp_path / "pipe").write_bytes(b"0" * 10_000_000)
        except BrokenPipeError:
            done.append("the reader left")

    writer = threading.Thread(target=flood)
    writer.start()
    with pytest.raises(BadInputError, match="larger than"):
        STORE.read(str(tmp_path / "pipe"))
    writer.join()
    assert done == ["the reader left"]


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_folder_is_no_object(tmp_path: Path, operation: str) -> None:
    with pytest.raises(BadInputError):
        STORE.read(str(tmp_path)) if operation == "read" else STORE.write(str(tmp_path), b"x")
    assert STORE.stat(str(tmp_path)) is None


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    uri = str(tmp_path / "file" / "a.ipynb")
    with pytest.raises(BadInputError, match="not a folder"):
        STORE.write(uri, b"x")
    with pytest.raises(InputNotFoundError):
        STORE.read(uri)
    assert STORE.stat(uri) is None
    assert list(STORE.list(uri + "/")) == []


@pytest.mark.parametrize("uri", ["/proc/out.ipynb", "/proc/folder/out.ipynb"])
def test_what_only_looks_like_a_folder_is_no_place_for_an_output(uri: str) -> None:
    with pytest.raises(BadInputError, match=f"{uri} is on a file system that keeps no files"):
        STORE.write(uri, b"x")
    with pytest.raises(InputNotFoundError):
        STORE.read(uri)


def test_a_uri_of_another_machine_is_refused() -> None:
    for uri in ("file://server/share/a", "file://relative"):
        with pytest.raises(BadInputError, match="this machine"):
            open_store(uri).read(uri)


def test_a_uri_is_percent_decoded(tmp_path: Path) -> None:
    (tmp_path / "a b?.ipynb").write_bytes(b"x")
    uri = f"file://localhost{tmp_path}/a%20b%3F.ipynb"
    assert STORE.read(uri).data == b"x"
    assert [entry.uri for entry in STORE.list(f"file://localhost{tmp_path}/")] == [uri]


def test_versions_differ_within_a_clock_tick(tmp_path: Path) -> None:
    versions = [STORE.write(str(tmp_path / "a"), f"{turn % 10}".encode()) for turn in range(50)]
    assert len(set(versions)) == 50


@pytest.mark.fault(12)
def test_leftovers_are_no_objects_and_go_when_old(tmp_path: Path) -> None:
    old, young = (tmp_path / f"{atomicfile.TEMP_PREFIX}{name}{atomicfile.TEMP_SUFFIX}" for name in ("old", "young"))
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    long_ago = time.time() - atomicfile.LEFTOVER_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    assert list(STORE.list(f"{tmp_path}/")) == []
    LocalStore().write(str(tmp_path / "a"), b"x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [young.name, "a"]


@pytest.mark.fault(23)
@pytest.mark.parametrize("step", ["fsync", "replace", "utime"])
def test_a_failure_at_any_step_leaves_the_old_object_alone(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "a")
    STORE.write(uri, b"good")

    def fail(*_: object, **__: object) -> None:
        raise failing(errno.EIO)

    owner = Path if step == "replace" else os
    monkeypatch.setattr(owner, step, fail)
    if step == "utime":
        STORE.write(uri, b"new!")  # a filesystem that keeps its own times is no failure
    else:
        with pytest.raises(StorageUnavailableError):
            STORE.write(uri, b"new!")
    monkeypatch.undo()
    assert STORE.read(uri).data == (b"new!" if step == "utime" else b"good")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, StorageUnavailableError, "no room left"),
        (errno.EDQUOT, StorageUnavailableError, "no room left"),
        (errno.EROFS, StorageDeniedError, "read-only file system"),
        (errno.EACCES, StorageDeniedError, "may not be reached"),
        (errno.EPERM, StorageDeniedError, "may not be reached"),
        (errno.EIO, StorageUnavailableError, "Input/output error"),
        (errno.ESTALE, StorageUnavailableError, "Stale file handle"),
        (errno.ENAMETOOLONG, BadInputError, "File name too long"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    tmp_path: Path, number: int, kind: type[NbstepError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "a")
    STORE.write(uri, b"good")

    def fail(_: int) -> None:
        raise failing(number)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=words) as refused:
        STORE.write(uri, b"new")
    monkeypatch.undo()
    assert refused.value.hint
    assert refused.value.context == f"writing {uri}"
    assert STORE.read(uri).data == b"good"


def test_a_filesystem_without_links_still_creates_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise failing(errno.EPERM)

    monkeypatch.setattr(os, "link", no_links)
    STORE.write(str(tmp_path / "a"), b"first", if_version=ABSENT)
    with pytest.raises(OutputConflictError):
        STORE.write(str(tmp_path / "a"), b"second", if_version=ABSENT)
    assert STORE.read(str(tmp_path / "a")).data == b"first"


def test_a_filesystem_without_locks_promises_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise failing(errno.ENOLCK)

    monkeypatch.setattr(fcntl, "flock", no_locks)
    store = LocalStore()
    assert store.conditional_write
    version = store.write(str(tmp_path / "a"), b"1", if_version=ABSENT)
    assert not store.conditional_write
    store.write(str(tmp_path / "a"), b"2", if_version=version)
    with pytest.raises(OutputConflictError):
        store.write(str(tmp_path / "a"), b"3", if_version=version)


def test_a_lock_that_is_never_let_go_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomicfile, "LOCK_SECONDS", 0.2)
    holder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(StorageUnavailableError, match="holds the folder's lock"):
            STORE.write(str(tmp_path / "a"), b"x")
    finally:
        os.close(holder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(20)
def test_a_file_that_is_written_in_place_is_not_read_by_halves(tmp_path: Path) -> None:
    """A writer that does not rename is waited out for a few turns, and then told of."""
    path = tmp_path / "a"
    path.write_bytes(b"0" * 100_000)
    over = threading.Event()

    def scribble() -> None:
        while not over.is_set():
            with path.open("ab") as stream:
                stream.write(b"1" * 1000)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for _ in range(20):
            try:
                blob = STORE.read(str(path))
            except StorageUnavailableError as error:
                assert "changed while it was read" in error.message  # noqa: PT017 - either outcome is right
            else:
                assert int(blob.version.rpartition("-")[2], 16) == len(blob.data)
    finally:
        over.set()
        writer.join()
