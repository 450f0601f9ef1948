"""Schemes that only fsspec serves: whole objects, connections made anew, and no promise that is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    InputNotFoundError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores import ABSENT, describe, open_store, other
from servers import cutproxy
from servers.cutproxy import Cut, Plan
from servers.ftp import PASSWORD, FtpServer
from servers.places import within

FAILURES: list[Exception] = []


class ObjectsFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """An object store as a package of someone else would bring it: no rename, and it fails as a test says."""

    protocol = "objects"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012 - as its base has it

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("objects://").strip("/")

    def pipe_file(self, path: str, value: bytes, **named: Any) -> None:
        if FAILURES:
            raise FAILURES.pop(0)
        super().pipe_file(path, value, **named)


class HttpStatusError(Exception):
    """As clients of clouds raise it."""

    def __init__(self, status: int) -> None:
        super().__init__("the client's words")
        self.status_code = status


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    entry = {"class": f"{ObjectsFileSystem.__module__}.ObjectsFileSystem"}
    monkeypatch.setitem(known_implementations, "objects", entry)
    monkeypatch.setattr(other, "_is_here", lambda dotted: dotted == entry["class"])
    monkeypatch.setattr(other, "url_to_fs", lambda *_, **__: (ObjectsFileSystem(skip_instance_cache=True), ""))
    other.schemes.cache_clear()
    FAILURES.clear()
    ObjectsFileSystem.store.clear()
    ObjectsFileSystem.pseudo_dirs[:] = [""]
    yield "objects://bucket/"
    other.schemes.cache_clear()


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


def test_a_connection_that_broke_is_made_anew(ftp_server: FtpServer) -> None:
    with cutproxy.running(ftp_server.port) as proxy:
        folder = ftp_server.uri.replace(f":{ftp_server.port}/", f":{proxy.port}/")
        store = open_store(folder, StorageOptions(retry_seconds=10.0))
        store.write(folder + "reconnect", b"first")
        proxy.plans.append(Plan(Cut.RESET, 0))
        store.write(folder + "reconnect", b"second")
        assert proxy.connections == 2
        assert store.read(folder + "reconnect").data == b"second"


@pytest.mark.fault(39)
def test_a_password_is_in_no_message(ftp_server: FtpServer) -> None:
    wrong = ftp_server.uri.replace(PASSWORD, "wrong-s3cret")
    with within(15.0), pytest.raises(StorageDeniedError) as refused:
        open_store(wrong, StorageOptions(retry_seconds=5.0)).read(wrong + "a")
    assert "s3cret" not in refused.value.message + refused.value.context
    away, lines = ftp_server.uri.replace(f":{ftp_server.port}/", ":1/"), list[str]()
    with within(4.0), pytest.raises(StorageUnavailableError) as failed:
        open_store(away, StorageOptions(retry_seconds=1.0), on_retry=lines.append).read(away + "a")
    assert PASSWORD not in failed.value.message + failed.value.context + "".join(lines)
