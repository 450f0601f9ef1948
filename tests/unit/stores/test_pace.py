"""What comes of any store is bounded in time, however a library waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import pace, sftp_files
from nbstep_runner.stores.gcs import GcsStore
from nbstep_runner.stores.pace import gathered_in_time
from nbstep_runner.stores.retrying import TransientError
from nbstep_runner.stores.s3 import S3Store
from nbstep_runner.stores.sftp_connection import Connections, Server, Watched


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a transfer waits for that does not go on; at the end of the test it is let go."""
    monkeypatch.setattr(pace, "SLOW_SECONDS", 0.05)
    event = threading.Event()
    yield event
    event.set()


class S3Client:
    def __init__(self, stuck: threading.Event) -> None:
        self._stuck = stuck

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": self}

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        yield b"{}"
        self._stuck.wait()

    def close(self) -> None:
        """Nothing is open."""


class GcsClient:
    def __init__(self, stuck: threading.Event) -> None:
        self._stuck = stuck

    def bucket(self, _name: str, **_: Any) -> Any:
        return SimpleNamespace(blob=lambda _name: self)

    def download_to_file(self, buffer: Any, **_: Any) -> None:
        buffer.write(b"{}")
        self._stuck.wait()


@pytest.mark.fault(56)
def test_an_object_of_a_bucket_that_trickles_is_given_up(stuck: threading.Event) -> None:
    options = StorageOptions(retry_seconds=0.0)
    s3, gcs = S3Store(options), GcsStore(options)
    s3._connected, gcs._client = S3Client(stuck), GcsClient(stuck)
    for store, uri in ((s3, "s3://bucket/in.ipynb"), (gcs, "gs://bucket/in.ipynb")):
        with pytest.raises(StorageUnavailableError, match="only 2 bytes of the object arrived in 0 s"):
            store.read(uri)


class Trickling:
    """A file of an SFTP server, and the client that opens it."""

    _handler = SimpleNamespace(_reader=None, _supports_posix_rename=False)

    def open(self, *_: Any, **__: Any) -> Any:
        async def opened() -> AbstractAsyncContextManager[Trickling]:
            return nullcontext(self)

        return opened()

    async def stat(self) -> Any:
        return SimpleNamespace(size=10**6, permissions=None, mtime=1)

    async def read_parallel(self, _size: int, _offset: int) -> Any:
        async def pieces() -> Any:
            for offset in range(10**6):
                yield offset, b"x"

        return pieces()


@pytest.mark.fault(56)
def test_a_file_of_an_sftp_server_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLOW_SECONDS", -1.0)
    read = sftp_files.read(cast("Any", Trickling()), "in.ipynb", Watched(30.0))
    with pytest.raises(TransientError, match="only 1 bytes of the object arrived"):
        asyncio.run(read)


def test_a_connection_on_which_a_file_trickled_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLOW_SECONDS", -1.0)
    server = Server.of("sftp://host/in.ipynb", StorageOptions())
    ended: list[bool] = []
    connections = Connections()
    connections._open[server] = cast("Any", (SimpleNamespace(abort=lambda: ended.append(True)), Trickling()))
    with closing(connections):
        with pytest.raises(TransientError, match="only 1 bytes of the object arrived"):
            connections.run(server, lambda client, watched: sftp_files.read(client, "in.ipynb", watched), 30.0)
        assert ended == [True]
        assert connections._open == {}


def test_a_library_that_is_given_up_ends_with_the_next_bytes(stuck: threading.Event) -> None:
    ended = threading.Event()

    def fill(buffer: Any) -> None:
        try:
            stuck.wait()
            while True:
                buffer.write(b"more")
        finally:
            ended.set()

    with pytest.raises(TransientError, match="only 0 bytes"):
        gathered_in_time(fill)
    stuck.set()
    assert ended.wait(120)


def test_what_a_library_raises_is_raised_and_what_it_writes_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise TimeoutError("the library's own")

    with pytest.raises(TimeoutError, match="the library's own"):
        gathered_in_time(fail)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert gathered_in_time(lambda buffer: buffer.writelines([b"a", b"bc"])) == b"abc"
