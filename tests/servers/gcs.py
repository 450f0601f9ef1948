"""A Google Cloud Storage emulator whose promises hold.

``gcp-storage-emulator`` serves the JSON API. On its own it ignores preconditions, generations in requests, pages and
credentials, refuses a part of a resumable upload that is sent twice, and serves one connection at a time. Here its
router is wrapped so that these are real. What it still gets wrong, compared with the true service:

* objects are consistent, but there is no limit of one write a second to an object, and no rate limit at all;
* there are no noncurrent generations: a replaced object is gone, and a request for its generation answers 404;
* a service account's token request is accepted if its assertion names a known account; the signature is not checked;
* permissions are a set of denied buckets, not IAM; uniform access, retention, holds and encryption keys are absent;
* metageneration preconditions are ignored; error bodies hold code, message and reason only;
* uploads are held in memory, and only the upload protocols that Google's Python client uses are checked.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.storage import Storage

from servers.ports import LOOPBACK, QuietServer

ACCOUNT = "runner@project.iam.gserviceaccount.com"
_PRECONDITIONS = ("ifGenerationMatch", "ifGenerationNotMatch")


@dataclass
class State:
    """What one emulator knows besides its objects."""

    storage: Storage
    lock: threading.RLock = field(default_factory=threading.RLock)
    tokens: set[str] = field(default_factory=set)
    denied_buckets: set[str] = field(default_factory=set)
    requester_pays: set[str] = field(default_factory=set)
    sessions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    page_size: int = 1000
    generation: int = 0

    def next_generation(self) -> str:
        self.generation = max(self.generation + 1, time.time_ns() // 1000)
        return str(self.generation)


class RefusedError(Exception):
    """A request that the service answers with an error."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class Request(emulator.Request):  # type: ignore[misc]  # the emulator ships no types
    """A request whose headers can be corrected before the emulator sees them."""

    def __init__(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        super().__init__(handler, method)
        self.corrected: dict[str, str] = {}

    def get_header(self, key: str, default: str | None = None) -> str | None:
        found: str | None = self.corrected.get(key.lower(), super().get_header(key, default))
        return found

    def first(self, name: str) -> str | None:
        found: str | None = self.query.get(name, [None])[0]
        return found


class Router(emulator.Router):  # type: ignore[misc]  # the emulator ships no types
    """The emulator's routes, behind the checks of the true service."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self.state = handler.state

    def handle(self, method: str) -> None:
        request, response = Request(self._request_handler, method), emulator.Response(self._request_handler)
        with self.state.lock:
            self.state.requests.append(f"{method} {request.path}")
            try:
                if request.path == "/token":
                    self._grant(request, response)
                else:
                    self._check_access(request)
                    self._dispatch(request, response, method)
            except RefusedError as error:
                _ = request.data  # the body has to leave the connection before the answer
                response.status = error.status
                answer = {"code": error.status, "message": str(error), "errors": [{"reason": error.reason}]}
                response.json({"error": answer})
        response.close()

    def _grant(self, request: Request, response: Any) -> None:
        """RFC 7523: an assertion is exchanged for a token."""
        length = int(request.get_header("Content-Length") or 0)
        form = parse_qs(self._request_handler.rfile.read(length).decode())
        if not form.get("assertion"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "invalid_grant", "no assertion")
        token = secrets.token_hex(16)
        self.state.tokens.add(token)
        response.json({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _check_access(self, request: Request) -> None:
        scheme, _, token = (request.get_header("Authorization") or "").partition(" ")
        if scheme != "Bearer" or token not in self.state.tokens:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "authError", "Invalid Credentials")
        named = re.search(r"/b/([^/]+)", request.path)
        bucket = named[1] if named else ""
        if bucket in self.state.denied_buckets:
            message = f"{ACCOUNT} does not have storage.objects.create access to the Google Cloud Storage object."
            raise RefusedError(HTTPStatus.FORBIDDEN, "forbidden", message)
        if bucket in self.state.requester_pays and not request.first("userProject"):
            message = "Bucket is a requester pays bucket but no user project provided."
            raise RefusedError(HTTPStatus.BAD_REQUEST, "required", message)

    def _dispatch(self, request: Request, response: Any, method: str) -> None:
        for pattern, handlers in emulator.HANDLERS:
            match = re.fullmatch(pattern, request.path)
            if match and (handler := handlers.get(method)):
                request.set_match(match)
                _OVERRIDES.get(handler, _plain)(self.state, request, response, handler)
                return
        raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, "notImplemented", request.path)


Original = Callable[[Any, Any, Storage], None]


def _plain(state: State, request: Request, response: Any, handler: Original) -> None:
    handler(request, response, state.storage)


def _expect(state: State, bucket: str, name: str, query: dict[str, list[str]]) -> None:
    """Check the preconditions of a request, as https://cloud.google.com/storage/docs/request-preconditions says."""
    current = _generation(state, bucket, name)
    wanted = query.get("ifGenerationMatch")
    if wanted and wanted[0] != current:
        raise RefusedError(HTTPStatus.PRECONDITION_FAILED, "conditionNotMet", "At least one condition did not hold.")
    unwanted = query.get("ifGenerationNotMatch")
    if unwanted and unwanted[0] == current:
        raise RefusedError(HTTPStatus.NOT_MODIFIED, "notModified", "The object has that generation.")


def _generation(state: State, bucket: str, name: str) -> str:
    found = state.storage.objects.get(bucket, {}).get(name)
    return str(found["generation"]) if found else "0"


def _insert(state: State, request: Request, response: Any, handler: Original) -> None:
    if request.first("uploadType") == "resumable":
        _start_session(state, request, response, handler)
        return
    _require_bucket(state, request.params["bucket_name"])
    body = request.data
    name = request.first("name") or body["meta"]["name"]
    _expect(state, request.params["bucket_name"], name, request.query)
    handler(request, response, state.storage)
    _renumber(state, request.params["bucket_name"], name, response)


def _start_session(state: State, request: Request, response: Any, handler: Original) -> None:
    bucket = request.params["bucket_name"]
    _require_bucket(state, bucket)
    name = request.first("name") or request.data["name"]
    _expect(state, bucket, name, request.query)
    handler(request, response, state.storage)
    session = response["Location"].rpartition("upload_id=")[2]
    state.sessions[session] = {key: request.query[key] for key in _PRECONDITIONS if key in request.query}


def _upload_part(state: State, request: Request, response: Any, handler: Original) -> None:
    session = request.first("upload_id") or ""
    if session in state.finished:
        _ = request.data
        response.json(state.finished[session])
        return
    _drop_known_bytes(state, request, session)
    resource = state.storage.resumable.get(session)
    if resource:
        _expect(state, resource["bucket"], resource["name"], state.sessions.get(session, {}))
    handler(request, response, state.storage)
    if resource and response.status == HTTPStatus.OK:
        state.finished[session] = _renumber(state, resource["bucket"], resource["name"], response)


def _drop_known_bytes(state: State, request: Request, session: str) -> None:
    """Bytes that were persisted before their answer was lost may be sent again."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", request.get_header("Content-Range") or "")
    known = state.storage.get_resumable_byte_count(session)
    if found and int(found[1]) < known:
        request._data = (request.data or b"")[known - int(found[1]) :]
        last, total = int(found[2]), found[3]
        request.corrected["content-range"] = f"bytes {known}-{last}/{total}" if known <= last else f"bytes */{total}"


def _renumber(state: State, bucket: str, name: str, response: Any) -> dict[str, Any]:
    """Generations that only grow, also between two writes of one microsecond."""
    resource: dict[str, Any] = json.loads(response._content)
    if response.status == HTTPStatus.OK:
        resource["generation"] = state.next_generation()
        resource["size"] = str(resource["size"])
        state.storage.objects[bucket][name].update(resource)
        response.json(resource)
    return resource


def _require_bucket(state: State, bucket: str) -> None:
    if bucket not in state.storage.buckets:
        raise RefusedError(HTTPStatus.NOT_FOUND, "notFound", "The specified bucket does not exist.")


def _get(state: State, request: Request, response: Any, handler: Original) -> None:
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    current = _generation(state, bucket, name)
    if current == "0" or request.first("generation") not in {None, current}:
        raise RefusedError(HTTPStatus.NOT_FOUND, "notFound", f"No such object: {bucket}/{name}")
    _expect(state, bucket, name, request.query)
    handler(request, response, state.storage)
    if handler is objects.download or request.first("alt") == "media":
        _add_media_headers(state.storage.objects[bucket][name], response)


def _add_media_headers(resource: dict[str, Any], response: Any) -> None:
    response["X-Goog-Generation"] = resource["generation"]
    response["X-Goog-Metageneration"] = resource["metageneration"]
    response["X-Goog-Stored-Content-Length"] = resource["size"]
    if resource.get("contentEncoding"):
        response["Content-Encoding"] = resource["contentEncoding"]
        response["X-Goog-Stored-Content-Encoding"] = resource["contentEncoding"]


def _delete(state: State, request: Request, response: Any, handler: Original) -> None:
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    if _generation(state, bucket, name) == "0":
        raise RefusedError(HTTPStatus.NOT_FOUND, "notFound", f"No such object: {bucket}/{name}")
    _expect(state, bucket, name, request.query)
    handler(request, response, state.storage)
    response.status = HTTPStatus.NO_CONTENT


def _list(state: State, request: Request, response: Any, handler: Original) -> None:
    _require_bucket(state, request.params["bucket_name"])
    handler(request, response, state.storage)
    listing = json.loads(response._content)
    items = sorted(listing["items"], key=lambda item: item["name"].encode())
    start = int(request.first("pageToken") or 0)
    end = start + min(int(request.first("maxResults") or state.page_size), state.page_size)
    listing["items"] = items[start:end]
    if end < len(items):
        listing["nextPageToken"] = str(end)
    response.json(listing)


_OVERRIDES: dict[Any, Callable[[State, Request, Any, Original], None]] = {
    objects.insert: _insert,
    objects.upload_partial: _upload_part,
    objects.get: _get,
    objects.download: _get,
    objects.delete: _delete,
    objects.ls: _list,
}


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open for many requests as the true service does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out separately: the second would wait for the client's late ACK

    def __init__(self, state: State, *args: Any) -> None:
        self.state = state
        super().__init__(*args)

    def handle_one_method(self) -> None:
        Router(self).handle(self.command)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one_method  # noqa: N815 - names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class GcsServer:
    """A running emulator.

    Attributes:
        endpoint: For ``STORAGE_EMULATOR_HOST``.
        credentials: A service account's key file, for ``GOOGLE_APPLICATION_CREDENTIALS``.
    """

    endpoint: str
    port: int
    state: State
    credentials: Path

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What a client's process needs, possibly to reach it through a proxy."""
        return {
            "STORAGE_EMULATOR_HOST": endpoint or self.endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
        }

    def make_bucket(self, name: str) -> None:
        buckets.create_bucket(name, self.state.storage)


@contextmanager
def running(folder: Path) -> Iterator[GcsServer]:
    state = State(Storage(use_memory_fs=True))
    server = QuietServer((LOOPBACK, 0), partial(Handler, state))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    port = server.server_address[1]
    endpoint = f"http://{LOOPBACK}:{port}"
    try:
        yield GcsServer(endpoint, port, state, _key_file(folder, endpoint))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _key_file(folder: Path, endpoint: str) -> Path:
    """A service account whose key was made for this test, and whose tokens come from the emulator."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": ACCOUNT,
        "client_id": "1",
        "token_uri": f"{endpoint}/token",
    }
    path = folder / "service-account.json"
    path.write_text(json.dumps(account))
    return path
