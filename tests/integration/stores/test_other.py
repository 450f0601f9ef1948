"""Schemes that only fsspec serves: whole objects, connections made anew, and no promise that is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores import ABSENT, describe, open_store, other
from servers.packages import FAILURES, DiskFileSystem, ObjectsFileSystem, installed


class HttpStatusError(Exception):
    """As clients of clouds raise it."""

    def __init__(self, status: int) -> None:
        super().__init__("the client's words")
        self.status_code = status


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    FAILURES.clear()
    ObjectsFileSystem.store.clear()
    ObjectsFileSystem.pseudo_dirs[:] = [""]
    with installed(ObjectsFileSystem, monkeypatch):
        yield "objects://bucket/"


def test_a_package_of_someone_else_is_served_and_described(objects: str) -> None:
    info = next(info for info in describe() if info.scheme == "objects")
    assert (info.installed, info.atomic_replace, info.conditional_write) == (True, False, False)
    store = open_store(objects)
    store.write(objects + "a/b.ipynb", b"x", if_version=ABSENT)
    assert store.read(objects + "a/b.ipynb").data == b"x"
    with pytest.raises(OutputConflictError):
        store.write(objects + "a/b.ipynb", b"y", if_version=ABSENT)
    assert list(ObjectsFileSystem.store) == ["/bucket/a/b.ipynb"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (HttpStatusError(503), None),
        (HttpStatusError(403), StorageDeniedError),
        (ConnectionResetError("reset"), None),
        (TimeoutError("slow"), None),
        (RuntimeError("who knows"), None),
        (PermissionError("no"), StorageDeniedError),
        (FileNotFoundError("gone"), InputNotFoundError),
        (TypeError("a bug"), TypeError),
    ],
)
def test_what_a_package_raises_has_a_meaning(objects: str, failure: Exception, kind: type[Exception] | None) -> None:
    lines: list[str] = []
    FAILURES.append(failure)
    store = open_store(objects, StorageOptions(retry_seconds=5.0), on_retry=lines.append)
    if kind is None:
        store.write(objects + "a", b"x")
        assert len(lines) == 1
    else:
        with pytest.raises(kind):
            store.write(objects + "a", b"x")
        assert lines == []


def test_a_connection_that_broke_is_made_anew(objects: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ObjectsFileSystem] = []

    def connect(*_: object, **__: object) -> tuple[ObjectsFileSystem, str]:
        made.append(ObjectsFileSystem(skip_instance_cache=True))
        return made[-1], ""

    monkeypatch.setattr(other, "url_to_fs", connect)
    FAILURES.append(ConnectionResetError("reset"))
    store = open_store(objects, StorageOptions(retry_seconds=10.0))
    store.write(objects + "a", b"x")
    store.write(objects + "a", b"y")
    assert len(made) == 2


def test_what_arrived_damaged_is_sent_again(objects: str, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = iter([b"damaged"])
    whole = ObjectsFileSystem.cat_file
    monkeypatch.setattr(ObjectsFileSystem, "cat_file", lambda self, path: next(damaged, None) or whole(self, path))
    lines: list[str] = []
    open_store(objects, StorageOptions(retry_seconds=5.0), on_retry=lines.append).write(objects + "a", b"x")
    assert "other bytes are in place" in lines[0]


class CarefulFileSystem(DiskFileSystem):
    """Renames to a free name alone; ``failures`` are raised by its renames, one each, before or after they are done."""

    protocol = "careful"
    failures: ClassVar[list[tuple[str, Exception]]] = []

    def mv(self, path1: str, path2: str, **named: Any) -> None:
        when, error = self.failures.pop(0) if self.failures else ("", OSError())
        if when == "before":
            raise error
        if Path(path2).exists():
            raise FileExistsError(path2)
        super().mv(path1, path2, **named)
        if when == "after":
            raise error


@pytest.mark.parametrize(
    ("failures", "stored"),
    [
        ([], b"new"),
        ([("before", ConnectionResetError("reset"))], b"old"),
        ([("", OSError()), ("after", ConnectionResetError("reset"))], b"old"),
        ([("", OSError()), ("", OSError()), ("before", ConnectionResetError("reset"))], b"old"),
        ([("", OSError()), ("", OSError()), ("after", ConnectionResetError("reset"))], b"new"),
    ],
    ids=["all goes well", "cut off", "cut off, the old one aside", "cut off at the new one", "the answer lost"],
)
def test_an_object_is_not_removed_before_the_next_is_in_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: list[tuple[str, Exception]], stored: bytes
) -> None:
    with installed(CarefulFileSystem, monkeypatch):
        uri = f"careful://{tmp_path}/a"
        store = open_store(uri, StorageOptions(retry_seconds=0.0))
        store.write(uri, b"old")
        CarefulFileSystem.failures[:] = failures
        with nullcontext() if stored == b"new" else pytest.raises(StorageUnavailableError):
            store.write(uri, b"new")
        assert CarefulFileSystem.failures == []
        assert (store.read(uri).data, [path.name for path in tmp_path.iterdir()]) == (stored, ["a"])


def test_ftp_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(BadInputError, match="ftp:// is not served") as refused:
        open_store("ftp://user:s3cret-word@host/out.ipynb")
    assert "sftp://" in refused.value.hint
    assert "s3cret" not in refused.value.message
