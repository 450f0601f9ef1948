"""A server that answers as a test says, whatever it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = tuple[int, dict[str, str], str | bytes]
"""Status, headers and body. A ``Content-Length`` among the headers that is larger than the body cuts it off."""


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: Any
    body: bytes = b""


@contextmanager
def asking(answer: Callable[[Request], Answer | None]) -> Iterator[str]:
    """The address of a server that asks for each answer; where there is none the connection is closed without one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answer(Request(self.command, self.path, self.headers, body))
            if found is not None:
                self.send(*found)

        do_POST = do_GET  # noqa: N815 - http.server's

        def send(self, status: int, headers: Mapping[str, str], body: str | bytes) -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[Request]]]:
    """The address of a server that gives these answers in turn, the last one for ever, and all that it was asked."""
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1]

    with asking(answer) as url:
        yield url, asked
