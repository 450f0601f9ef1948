"""A proxy between a client and an HTTP server that does to a request what networks and services do.

Each fault is taken by the requests that match it, as often as it says; all others pass through unchanged.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http.server import BaseHTTPRequestHandler

from servers.ports import LOOPBACK, QuietServer

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_HEAD_BYTES = 200


class Kind(StrEnum):
    """What happens to a request."""

    STATUS = "status"
    """It never reaches the server, and is answered with a status and a body."""
    REFUSE = "refuse"
    """It never reaches the server: the connection is reset."""
    DROP_ANSWER = "drop the answer"
    """The server does it, and then the connection is reset."""
    TRUNCATE = "truncate"
    """Half of the answer's body arrives, and then the connection ends."""
    FLIP_ANSWER = "flip a bit of the answer"
    FLIP_REQUEST = "flip a bit of the request"
    STALL = "stall"
    """Half of the answer's body arrives, and then nothing."""
    HANG = "hang"
    """The server does it, and no answer comes."""
    LIE = "lie"
    """The answer gets other headers."""


@dataclass
class Fault:
    kind: Kind
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def takes(self, method: str, path: str) -> bool:
        return self.times > 0 and bool(re.fullmatch(self.method, method) and re.search(self.path, path))


@dataclass(frozen=True)
class Seen:
    """A request that came by; ``at`` is when, in seconds since the epoch, ``head`` how its body begins."""

    method: str
    path: str
    sent: int
    head: bytes = field(default=b"", repr=False)
    at: float = field(default_factory=time.time)


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        delay: Seconds that every request takes more.
        seen: Every request so far.
        connections: How many were made.
        open: While it is cleared, requests are seen and held.
    """

    port: int
    upstream: int
    faults: list[Fault] = field(default_factory=list)
    delay: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def __post_init__(self) -> None:
        self.open.set()

    def add(self, kind: Kind, method: str = ".*", path: str = ".*", **details: object) -> None:
        self.faults.append(Fault(kind, method, path, **details))  # type: ignore[arg-type]  # as the dataclass says

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        with self.lock:
            self.seen.append(Seen(method, path, len(body), body[:_HEAD_BYTES]))
            fault = next((fault for fault in self.faults if fault.takes(method, path)), None)
            if fault:
                fault.times -= 1
            return fault

    def sent(self, method: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out separately: the second would wait for the client's late ACK

    def __init__(self, proxies: list[Proxy], *args: object) -> None:
        self.proxy = proxies[0]
        super().__init__(*args)  # type: ignore[arg-type]  # as socketserver calls it

    def setup(self) -> None:
        super().setup()
        with self.proxy.lock:
            self.proxy.connections += 1

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.proxy.delay)
        fault = self.proxy.take(self.command, self.path, body)
        kind = fault.kind if fault else None
        self.proxy.open.wait()
        if fault and kind is Kind.STATUS:
            self._answer(fault.status, fault.headers, fault.body)
        elif kind is Kind.REFUSE:
            self._reset()
        else:
            status, headers, answer = self._ask(_flipped(body) if kind is Kind.FLIP_REQUEST else body)
            self._pass_on(fault, status, headers, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PROPFIND = do_MKCOL = do_MOVE = do_OPTIONS = relay  # noqa: N815 - names that http.server calls

    def _pass_on(self, fault: Fault | None, status: int, headers: dict[str, str], body: bytes) -> None:
        kind = fault.kind if fault else None
        if kind is Kind.HANG:
            self.proxy.over.wait(60)
        if kind in {Kind.DROP_ANSWER, Kind.HANG}:
            self._reset()
        elif kind is Kind.FLIP_ANSWER:
            self._answer(status, headers, _flipped(body))
        elif kind in {Kind.TRUNCATE, Kind.STALL}:
            self._answer_half(status, headers, body, stall=kind is Kind.STALL)
        else:
            self._answer(status, {**headers, **(fault.headers if fault else {})}, body)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.proxy.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
        sends = body or self.command in {"PUT", "POST"}
        try:
            connection.request(self.command, self.path, body=body if sends else None, headers=headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
            if self.command == "HEAD" and response.getheader("Content-Length"):
                kept["Content-Length"] = str(response.getheader("Content-Length"))
            return response.status, kept, response.read()
        finally:
            connection.close()

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._head(status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer_half(self, status: int, headers: dict[str, str], body: bytes, *, stall: bool) -> None:
        self._head(status, headers, len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        if stall:
            self.proxy.over.wait(60)
        self.close_connection = True

    def _reset(self) -> None:
        """An end without good-bye: the client gets ECONNRESET."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _flipped(body: bytes) -> bytes:
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


@contextmanager
def running(upstream: int) -> Iterator[Proxy]:
    proxies: list[Proxy] = []
    server = QuietServer((LOOPBACK, 0), partial(_Handler, proxies))
    proxy = Proxy(server.server_address[1], upstream)
    proxies.append(proxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
