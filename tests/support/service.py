"""The service asked in this process, without a socket or at one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from nbstep.server.access import LocalAccess, new_token
from nbstep.server.app import application
from nbstep.server.config import Config
from nbstep.server.config_file import config_of
from nbstep.server.following import Streams
from nbstep.server.listening import Server, listening_socket
from support.asked import Asked

if TYPE_CHECKING:
    from starlette.types import ASGIApp


TOKEN: Final = new_token()


class Service(Asked):
    """The service's application, for one caller."""

    def __init__(self, app: ASGIApp, base_url: str = "http://localhost:8000", token: str = "") -> None:
        self.app = app
        self.base_url = base_url
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    @classmethod
    def of(cls, caller: str = "submitter", **document: Any) -> Service:
        """The service of a configuration, written as a file has it, for one caller."""
        return cls(LocalAccess(application(config(**document)), TOKEN, caller), token=TOKEN)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=self.base_url, headers=self.headers)


@contextmanager
def listening(config: Config) -> Iterator[tuple[str, Streams]]:
    """A server of its own, at the address given, until the end of the block."""
    streams = Streams(config.limits.streams)
    with serving(LocalAccess(application(config, streams), TOKEN, "submitter"), streams) as port:
        yield f"http://127.0.0.1:{port}", streams


@contextmanager
def serving(app: ASGIApp, streams: Streams, connections: int | None = None) -> Iterator[int]:
    """An application at the port given, until the end of the block."""
    server = Server(app, streams, connections)
    with closing(listening_socket("127.0.0.1", 0)) as socket:
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            yield socket.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server has not ended"


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any
    id: str | None


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a stream, as a browser understands its lines."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


def config(**document: Any) -> Config:
    """A configuration as a file would hold it."""
    return config_of(document, where="the test")
