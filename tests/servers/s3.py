"""moto's S3 server, with the checks of the true service around it.

moto serves the S3 protocol with preconditions on writes. On its own it stores whatever arrives, whatever checksum was
sent with it, and two requests at once can both pass a precondition. Here both are real. What it still gets wrong:

* signatures and permissions are not checked: any key is accepted; denied buckets are a set of names;
* ``If-Match`` on the request that makes parts one object is checked here, not by moto, and answers as Amazon does;
* there are no rate limits, no encryption keys, no requester-pays accounting and no eventual regions.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import botocore.session
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from servers.ports import LOOPBACK

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"


@dataclass
class Strict:
    """A WSGI application that checks what moto does not.

    Attributes:
        verifies: If not, whatever arrives is stored, as some compatible servers do.
        honours_conditions: If not, the preconditions of writes are dropped, as many compatible servers do.
        knows_conditions: If not, a write with a precondition is answered with 501, as some compatible servers do.
    """

    application: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]
    lock: threading.RLock = field(default_factory=threading.RLock)
    denied_buckets: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    verifies: bool = True
    honours_conditions: bool = True
    knows_conditions: bool = True

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        environment["wsgi.input"] = io.BytesIO(body)
        with self.lock:
            self.requests.append(f"{method} {path}")
            if refused := self._refused(environment, body):
                return _error(start, *refused)
            return list(self.application(environment, start))

    def _refused(self, environment: WSGIEnvironment, body: bytes) -> tuple[str, str] | None:
        bucket = environment["PATH_INFO"].strip("/").partition("/")[0]
        if bucket in self.denied_buckets:
            return "403 Forbidden", "AccessDenied"
        if not self.verifies:
            return self._conditions(environment)
        if (wanted := environment.get("HTTP_CONTENT_MD5")) and base64.b64decode(wanted) != _md5(body):
            return "400 Bad Request", "BadDigest"
        signed = environment.get("HTTP_X_AMZ_CONTENT_SHA256", "")
        if len(signed) == 64 and signed != hashlib.sha256(body).hexdigest():
            return "400 Bad Request", "XAmzContentSHA256Mismatch"
        return self._conditions(environment)

    def _conditions(self, environment: WSGIEnvironment) -> tuple[str, str] | None:
        named = {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"} & environment.keys()
        if environment["REQUEST_METHOD"] not in {"PUT", "POST"} or not named:
            return None
        if not self.knows_conditions:
            return "501 Not Implemented", "NotImplemented"
        if not self.honours_conditions:
            for name in named:
                del environment[name]
            return None
        wanted = environment.get("HTTP_IF_MATCH", "").strip('"')
        completes = (
            "uploadId" in parse_qs(environment.get("QUERY_STRING", "")) and environment["REQUEST_METHOD"] == "POST"
        )
        if completes and wanted and wanted != _etag(environment["PATH_INFO"]):
            return "412 Precondition Failed", "PreconditionFailed"
        return None


def _etag(path: str) -> str | None:
    bucket, _, key = path.strip("/").partition("/")
    found = s3_backends["123456789012"]["aws"].get_object(bucket, key)
    return str(found.etag).strip('"') if found else None


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _error(start: StartResponse, status: str, code: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/xml")])
    return [_ERROR.format(code=code).encode()]


class _KeepsConnections(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out separately: the second would wait for the client's late ACK

    def log(self, *_: object, **__: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    port: int
    strict: Strict

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What a client's process needs, possibly to reach it through a proxy."""
        return {
            "AWS_ENDPOINT_URL_S3": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        session = botocore.session.get_session()
        session.set_credentials("testing", "testing")
        return session.create_client("s3", "us-east-1", endpoint_url=self.endpoint)

    def make_bucket(self, name: str) -> None:
        self.client().create_bucket(Bucket=name)


@contextmanager
def running() -> Iterator[S3Server]:
    strict = Strict(DomainDispatcherApplication(create_backend_app))
    server = make_server(LOOPBACK, 0, strict, threaded=True, request_handler=_KeepsConnections)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield S3Server(f"http://{LOOPBACK}:{server.port}", server.port, strict)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        s3_backends.reset()
