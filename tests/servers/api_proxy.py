"""A way to a cluster's API that can fail as networks and servers do: cut, slow, overloaded, away.

It speaks plain HTTP to the client and whatever the kubeconfig says to the cluster, so that answers can be made up.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from servers.ports import LOOPBACK

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Faults:
    """What goes wrong now; tests change it while requests come in.

    Attributes:
        answer: Looks at a request's method and path; an answer goes out instead of the cluster's own.
        lose_answer: Looks at a request's method and path; if true, the cluster's answer is lost on its way back.
        away: Every connection is cut.
        silent: Nothing is answered, and no connection cut until that is over.
        cut_logs_after: Each followed log breaks after so many bytes; ``None`` for never.
    """

    answer: Callable[[str, str], Answer | None] = lambda _method, _path: None
    lose_answer: Callable[[str, str], bool] = lambda _method, _path: False
    away: bool = False
    silent: bool = False
    cut_logs_after: int | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    cuts: int = 0


def status_answer(code: int, reason: str, **headers: str) -> Answer:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": reason,
        "reason": reason,
        "code": code,
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return code, {"Content-Type": "application/json"} | named, json.dumps(body).encode()


@contextmanager
def running(kubeconfig: Path, folder: Path) -> Iterator[tuple[Faults, Path]]:
    """The proxy, and a kubeconfig that leads through it."""
    faults = Faults()
    upstream = _Upstream(yaml.safe_load(kubeconfig.read_text()))
    handler = type("Handler", (_Handler,), {"faults": faults, "upstream": upstream})
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    path = folder / "kubeconfig-proxy"
    path.write_text(json.dumps(upstream.kubeconfig(f"http://{LOOPBACK}:{server.server_port}")))
    try:
        yield faults, path
    finally:
        server.shutdown()
        server.server_close()


class _Upstream:
    """The cluster behind the proxy, with the kubeconfig's current user."""

    def __init__(self, config: dict[str, Any]) -> None:
        named = {
            kind: {each["name"]: each[kind[:-1]] for each in config[kind]} for kind in ("clusters", "users", "contexts")
        }
        self.context = named["contexts"][config["current-context"]]
        cluster, user = named["clusters"][self.context["cluster"]], named["users"][self.context["user"]]
        self._address = urlsplit(cluster["server"])
        self._token = user["token"]
        self._ssl = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
        if cluster.get("insecure-skip-tls-verify"):
            self._ssl.check_hostname = False
            self._ssl.verify_mode = ssl.CERT_NONE

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._address.hostname or "", self._address.port or 443, context=self._ssl, timeout=60
        )

    def headers(self, given: Any) -> dict[str, str]:
        kept = {name: value for name, value in given.items() if name.lower() in ("accept", "content-type")}
        return kept | {"Authorization": f"Bearer {self._token}"}

    def kubeconfig(self, server: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [
                {
                    "name": "proxy",
                    "context": {
                        "cluster": "proxy",
                        "user": "proxy",
                        "namespace": self.context.get("namespace", "default"),
                    },
                }
            ],
            "current-context": "proxy",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: _Upstream

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        faults = self.faults
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faults.requests.append((self.command, self.path))
        if faults.away or faults.silent:
            self._hang_up()
            return
        made_up = faults.answer(self.command, self.path)
        if made_up is not None:
            self._send(*made_up)
            return
        connection = self.upstream.connect()
        try:
            connection.request(self.command, self.path, body or None, self.upstream.headers(self.headers))
            reply = connection.getresponse()
            if faults.lose_answer(self.command, self.path):
                reply.read()
                self._hang_up()
            elif "follow=" in self.path and "/log" in self.path and reply.status == 200:
                self._stream(reply)
            else:
                self._send(
                    reply.status, {"Content-Type": reply.getheader("Content-Type", "application/json")}, reply.read()
                )
        finally:
            connection.close()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - the library's names

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, reply: http.client.HTTPResponse) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while data := reply.read1(65536):
            limit = self.faults.cut_logs_after
            cut = limit is not None and sent + len(data) > limit
            piece = data[: limit - sent] if cut and limit is not None else data
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            sent += len(piece)
            if cut or self.faults.away or self.faults.silent:
                self.faults.cuts += 1
                self._hang_up()
                return
        self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        while self.faults.silent:
            time.sleep(0.05)
        with suppress(OSError):
            self.connection.shutdown(2)
        time.sleep(0.01)
