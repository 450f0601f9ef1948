"""HTTP: addresses, redirects, lengths, credentials, and servers that promise little."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores import ABSENT, Store, addresses, check_output, open_store
from nbstep_runner.stores.atomicfile import TEMP_PREFIX, TEMP_SUFFIX
from servers import faultproxy
from servers.faultproxy import Kind
from servers.nginx import NginxServer
from servers.places import Place, within
from servers.ports import LOOPBACK, require
from servers.rclone import RcloneServer

OPTIONS = StorageOptions(allow_private_addresses=True, retry_seconds=3.0)
Answer = Callable[[BaseHTTPRequestHandler], None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, answer: Answer, *args: Any) -> None:
        self.answer = answer
        super().__init__(*args)

    def relay(self) -> None:
        self.answer(self)

    do_GET = do_HEAD = do_PUT = do_DELETE = relay  # noqa: N815 - names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers as a test says."""
    server = ThreadingHTTPServer((LOOPBACK, 0), partial(_Handler, answer))
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@pytest.mark.fault(37)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_loopback_is_refused_however_it_is_written(web_server: NginxServer, host: str) -> None:
    uri = f"http://{host}:{web_server.port}/a.ipynb"
    with within(3.0), pytest.raises(BadInputError, match="not a public address") as refused:
        open_store(uri).read(uri)
    assert "--allow-private-addresses" in refused.value.hint


@pytest.mark.fault(37)
def test_a_redirect_to_a_refused_address_is_refused(web_server: NginxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the server's own address passes for public here; it redirects to another one."""
    monkeypatch.setattr(addresses, "_is_private", lambda address: address != LOOPBACK)
    uri = f"{web_server.uri()}away/a.ipynb"
    with pytest.raises(BadInputError, match=r"127\.0\.0\.2, which is not a public address"):
        open_store(uri).read(uri)


@pytest.mark.fault(37)
def test_the_connection_goes_to_the_address_that_was_checked(
    web_server: NginxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers with another address the second time (DNS rebinding) gets no second time."""
    (web_server.root / "there.ipynb").write_bytes(b"{}")
    answers = iter([LOOPBACK, "127.0.0.2", "127.0.0.3"])
    original = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **named: Any) -> Any:
        return original(next(answers) if host == "rebinding.example" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(addresses, "_is_private", lambda address: address != LOOPBACK)
    uri = f"http://rebinding.example:{web_server.port}/there.ipynb"
    assert open_store(uri).read(uri).data == b"{}"


@pytest.mark.fault(37)
def test_redirects_end(web_server: NginxServer) -> None:
    uri = f"{web_server.uri()}round/a.ipynb"
    with within(3.0), pytest.raises(BadInputError, match="redirected without end"):
        open_store(uri, OPTIONS).read(uri)


@pytest.mark.fault(39)
def test_a_redirect_elsewhere_gets_no_credentials() -> None:
    seen: dict[str, str | None] = {}

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        seen["elsewhere"] = handler.headers["Authorization"]
        send(handler, b"{}")

    with serving(elsewhere) as port:

        def first(handler: BaseHTTPRequestHandler) -> None:
            seen["first"] = handler.headers["Authorization"]
            send(handler, b"", 302, Location=f"http://{LOOPBACK}:{port}/x")

        with serving(first) as origin:
            uri = f"http://user:s3cret-word@{LOOPBACK}:{origin}/a"
            assert open_store(uri, OPTIONS).read(uri).data == b"{}"
    assert seen["first"] is not None
    assert seen["first"].startswith("Basic ")
    assert seen["elsewhere"] is None


@pytest.mark.fault(39)
@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_credentials_and_signatures_are_in_no_message(status: int) -> None:
    lines: list[str] = []
    with serving(lambda handler: send(handler, b"", status)) as port:
        uri = f"http://user:s3cret-word@{LOOPBACK}:{port}/a.ipynb?X-Signature=s3cret-word&x=1"
        options = StorageOptions(allow_private_addresses=True, retry_seconds=0.5)
        store = open_store(uri, options, on_retry=lines.append)
        with pytest.raises((StorageDeniedError, InputNotFoundError, StorageUnavailableError)) as failed:
            store.read(uri)
    chain = [failed.value, failed.value.__cause__, failed.value.__context__]
    assert "s3cret-word" not in "".join(map(str, [*chain, failed.value.hint, failed.value.context, *lines]))


@pytest.mark.fault(39)
def test_cookies_are_not_kept() -> None:
    seen: list[str | None] = []

    def bakery(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Cookie"])
        send(handler, b"{}", Set_Cookie="session=s3cret-word; Path=/")

    with serving(bakery) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        store.read(uri)
        store.read(uri)
    assert seen == [None, None]


@pytest.mark.fault(37)
def test_a_redirect_to_something_less_safe_is_refused() -> None:
    with serving(lambda handler: send(handler, b"", 302, Location="file:///etc/passwd")) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        with pytest.raises(BadInputError, match="refused"):
            open_store(uri, OPTIONS).read(uri)


@pytest.mark.fault(16)
def test_an_object_of_unknown_length_is_refused() -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b'{"cells": [')

    with serving(endless) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        with pytest.raises(BadInputError, match="does not say how long"):
            open_store(uri, OPTIONS).read(uri)


@pytest.mark.fault(56)
@pytest.mark.parametrize("doing", [lambda store, uri: store.read(uri), lambda store, uri: store.write(uri, b"x")])
def test_an_answer_whose_head_trickles_is_given_up(
    doing: Callable[[Store, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes well within the time that may pass between two of them."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 600:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.05)

    monkeypatch.setattr("nbstep_runner.stores.pace.SLOW_SECONDS", 0.5)
    with serving(trickle) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        with within(20.0), pytest.raises(StorageUnavailableError, match="has not answered"):
            doing(open_store(uri, replace(OPTIONS, retry_seconds=1.0)), uri)


@pytest.mark.fault(36)
def test_a_decompression_bomb_is_refused_in_a_second() -> None:
    bomb = gzip.compress(b"0" * 500_000_000, 1)
    with serving(lambda handler: send(handler, bomb, Content_Encoding="gzip")) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        with within(1.0, time.process_time), pytest.raises(BadInputError, match="bomb"):
            store.read(uri)


def test_a_server_that_compresses_unasked_is_understood() -> None:
    with serving(lambda handler: send(handler, gzip.compress(b"plain"), Content_Encoding="gzip")) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        assert open_store(uri, OPTIONS).read(uri).data == b"plain"


@pytest.mark.fault(18)
def test_a_name_that_does_not_resolve_is_tried_again(web_server: NginxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    (web_server.root / "there.ipynb").write_bytes(b"{}")
    original, failures = socket.getaddrinfo, iter(range(3))

    def flaky(host: str, *arguments: Any, **named: Any) -> Any:
        if host == "flaky.example" and next(failures, None) is not None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return original(LOOPBACK if host == "flaky.example" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    uri, lines = f"http://flaky.example:{web_server.port}/there.ipynb", list[str]()
    assert open_store(uri, OPTIONS, on_retry=lines.append).read(uri).data == b"{}"
    assert len(lines) == 3
    assert "does not resolve" in lines[0]


def test_a_server_without_validators_still_has_versions() -> None:
    bodies = {"/a": b"first"}

    def plain(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "PUT":
            bodies[handler.path] = handler.rfile.read(int(handler.headers["Content-Length"]))
            send(handler, b"", 201)
        elif handler.path in bodies:
            send(handler, bodies[handler.path])
        else:
            send(handler, b"no such thing", 404)

    with serving(plain) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        first = store.read(uri).version
        stat = store.stat(uri)
        assert stat is not None
        assert stat.version == first
        second = store.write(uri, b"second", if_version=first)
        assert second != first
        with pytest.raises(OutputConflictError):
            store.write(uri, b"third", if_version=first)
        assert store.stat(uri.replace("/a", "/b")) is None


def conditional(*, checks_early: bool) -> Callable[[BaseHTTPRequestHandler], None]:
    """A server that knows ``If-None-Match``, and looks for the object before it has read a body or after."""
    bodies: dict[str, bytes] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        there_before = handler.path in bodies
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        there = there_before if checks_early else handler.path in bodies
        if handler.command == "PUT" and handler.headers.get("If-None-Match") == "*" and there:
            send(handler, b"", 412)
        elif handler.command == "PUT":
            bodies[handler.path] = body
            send(handler, b"", 201)
        elif handler.path in bodies:
            send(handler, bodies[handler.path], ETag=f'"{hash(bodies[handler.path])}"')
        else:
            send(handler, b"", 404)

    return answer


def test_a_server_that_keeps_conditions_is_found_out() -> None:
    with serving(conditional(checks_early=False)) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        assert not store.conditional_write
        store.write(uri, b"1", if_version=ABSENT)
        assert store.conditional_write
        with pytest.raises(OutputConflictError):
            store.write(uri, b"2", if_version=ABSENT)


@pytest.fixture(params=["web_folder", "apache_folder", "rclone_dav_folder"], ids=["nginx", "apache", "rclone"])
def dav_folder(request: pytest.FixtureRequest) -> str:
    """A folder on each WebDAV server in turn."""
    folder: str = request.getfixturevalue(request.param)
    return folder


@pytest.mark.fault(66)
def test_webdav_promises_no_condition_and_keeps_what_can_be_kept(dav_folder: str) -> None:
    store, uri = open_store(dav_folder, OPTIONS), dav_folder + "a"
    first = store.write(uri, b"1", if_version=ABSENT)
    for version in (ABSENT, '"stale"'):
        with pytest.raises(OutputConflictError):
            store.write(uri, b"2", if_version=version)
    second = store.write(uri, b"22", if_version=first)
    with pytest.raises(OutputConflictError):
        store.write(uri, b"333", if_version=first)
    time.sleep(1.1)  # Apache's entity tags are strong from now on, and were weak when the version was told
    store.write(uri, b"4444", if_version=second)
    assert store.read(uri).data == b"4444"
    assert (store.atomic_replace, store.conditional_write, store.verified) == (False, False, True)
    assert [stat.uri for stat in store.list(dav_folder)] == [uri]


@pytest.mark.fault(65)
def test_an_upload_that_never_arrives_whole_leaves_the_old_object(web_place: Place) -> None:
    web_place.put(b"good")
    web_place.proxy.add(Kind.FLIP_REQUEST, "PUT", times=10_000)
    with pytest.raises(StorageUnavailableError, match="other bytes are in place"):
        web_place.store(1.0).write(web_place.uri(), os.urandom(300_000))
    assert web_place.truth() == b"good"
    assert web_place.names() == ["a.ipynb"]


@pytest.mark.fault(15)
def test_a_lock_is_waited_for(web_place: Place) -> None:
    web_place.proxy.add(Kind.STATUS, "MOVE", times=2, status=423)
    web_place.store().write(web_place.uri(), b"x", if_version=ABSENT)
    assert web_place.truth() == b"x"
    assert all("423" in line for line in web_place.lines)


def test_a_folder_with_the_outputs_name_is_found_before_the_first_cell_and_never_replaced(dav_folder: str) -> None:
    """``MOVE`` with ``Overwrite`` would replace it, with all that it holds."""
    store = open_store(dav_folder, OPTIONS)
    store.write(dav_folder + "out.ipynb/inner", b"precious")
    with pytest.raises(BadInputError, match="is a folder"):
        check_output(dav_folder + "out.ipynb", store)
    for version in (None, ABSENT):
        with pytest.raises(BadInputError, match="is a folder"):
            store.write(dav_folder + "out.ipynb", b"x", if_version=version)
    assert store.read(dav_folder + "out.ipynb/inner").data == b"precious"
    assert [stat.uri for stat in store.list(dav_folder)] == [dav_folder + "out.ipynb/inner"]


def test_an_object_where_a_folder_should_be_is_bad_input(dav_folder: str) -> None:
    store = open_store(dav_folder, OPTIONS)
    store.write(dav_folder + "object", b"x")
    with pytest.raises(BadInputError, match="is an object, where a folder should be"):
        store.write(dav_folder + "object/out.ipynb", b"x")


@pytest.mark.fault(12)
def test_leftovers_of_killed_writers_go_when_old(rclone_dav: RcloneServer, rclone_dav_folder: str) -> None:
    """Where the server lists them: nginx hides names that begin with a dot."""
    web_folder = rclone_dav_folder
    place = rclone_dav.root / web_folder.removeprefix(rclone_dav.uri())
    place.mkdir()
    old, young = (place / f"{TEMP_PREFIX}{name}{TEMP_SUFFIX}" for name in ("old", "young"))
    for leftover in (old, young):
        leftover.write_bytes(b"half")
    os.utime(old, (1, 1))
    store = open_store(web_folder, OPTIONS)
    store.write(web_folder + "a", b"x")
    assert [stat.uri for stat in store.list(web_folder)] == [web_folder + "a"]
    assert (old.exists(), young.exists()) == (False, True)


def test_a_body_that_is_too_large_names_the_servers_setting() -> None:
    with serving(lambda handler: send(handler, b"", 413)) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        with within(3.0), pytest.raises(StorageDeniedError, match="larger than the server takes") as refused:
            open_store(uri, OPTIONS).write(uri, b"x")
    assert "client_max_body_size" in refused.value.hint


@pytest.mark.fault(66)
def test_a_server_that_checks_before_the_body_is_not_trusted() -> None:
    with serving(conditional(checks_early=True)) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        store.write(uri, b"1", if_version=ABSENT)
        assert not store.conditional_write
        assert store.read(uri).data == b"1"


@pytest.mark.fault(66)
def test_a_weak_entity_tag_is_no_version() -> None:
    """The server says that other bytes may have the same tag, and they do."""
    bodies: dict[str, bytes] = {}

    def vague(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.command == "PUT":
            bodies[handler.path] = body
            send(handler, b"", 201, ETag='W/"same"')
        elif handler.path in bodies:
            send(handler, bodies[handler.path], ETag='W/"same"')
        else:
            send(handler, b"", 404)

    with serving(vague) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        first = store.write(uri, b"1", if_version=ABSENT)
        second = store.write(uri, b"2", if_version=first)
        assert first != second
        with pytest.raises(OutputConflictError):
            store.write(uri, b"3", if_version=first)
        stat = store.stat(uri)
        assert stat is not None
        assert stat.version == second == store.read(uri).version
        assert not store.conditional_write


def test_a_place_that_may_only_be_written_is_said_to_be_unverified() -> None:
    def one_way(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        send(handler, b"", 201 if handler.command == "PUT" else 403)

    with serving(one_way) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        store = open_store(uri, OPTIONS)
        store.write(uri, b"1")
        assert not store.verified


def test_tls_to_a_plain_port_is_said_at_once(web_server: NginxServer) -> None:
    uri, lines = f"https://{LOOPBACK}:{web_server.port}/a", list[str]()
    with pytest.raises(BadInputError, match="does not speak TLS") as refused:
        open_store(uri, OPTIONS, on_retry=lines.append).read(uri)
    assert "http://" in refused.value.hint
    assert lines == []


@pytest.mark.parametrize(
    "words",
    [
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
        b"You're speaking plain HTTP to an SSL-enabled server port. Instead use the HTTPS scheme to access this URL.",
    ],
    ids=["nginx", "apache"],
)
def test_a_port_for_tls_that_is_asked_without_is_said_at_once(words: bytes) -> None:
    """In the words that the servers answer with."""
    with serving(lambda handler: send(handler, words, 400)) as port:
        uri = f"http://{LOOPBACK}:{port}/a"
        with pytest.raises(BadInputError, match="speaks TLS") as refused:
            open_store(uri, OPTIONS).read(uri)
    assert "https://" in refused.value.hint


@pytest.mark.fault(19)
def test_a_server_that_takes_no_output_says_so(web_server: NginxServer) -> None:
    (web_server.root / "read-only").mkdir(exist_ok=True)
    uri = f"{web_server.uri()}read-only/a"
    with within(2.0), pytest.raises(StorageDeniedError, match=r"does not allow writing .* \(405: "):
        open_store(uri, OPTIONS).write(uri, b"x")


@pytest.mark.fault(19)
def test_the_body_of_a_refusal_is_no_notebook(web_server: NginxServer) -> None:
    uri = f"{web_server.uri()}private/a.ipynb"
    with pytest.raises(StorageDeniedError):
        open_store(uri, OPTIONS).read(uri)


def test_a_large_file_streams(web_folder: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(30_000_000))
    store = open_store(web_folder, OPTIONS)
    store.write(web_folder + "large", tmp_path / "large")
    assert store.read(web_folder + "large").data == (tmp_path / "large").read_bytes()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """For ``secure.example``, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example"]
    command = [require("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", cert, *names], check=True, capture_output=True)
    return key, cert


@pytest.fixture
def secure_port(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    original = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: original(LOOPBACK if host.endswith(".example") else host, *rest, **named),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    with serving(lambda handler: send(handler, handler.headers["Host"].encode()), context) as port:
        yield port


def test_the_certificate_has_to_be_the_names(
    secure_port: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to an address, and is the name's all the same."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    uri = f"https://secure.example:{secure_port}/a"
    assert open_store(uri, OPTIONS).read(uri).data == f"secure.example:{secure_port}".encode()
    other = uri.replace("secure.example", "other.example")
    with within(2.0), pytest.raises(StorageDeniedError, match="certificate of the server is not trusted"):
        open_store(other, OPTIONS).read(other)


def test_an_unknown_authority_is_refused_at_once(secure_port: int) -> None:
    uri, lines = f"https://secure.example:{secure_port}/a", list[str]()
    with within(2.0), pytest.raises(StorageDeniedError, match="not trusted") as refused:
        open_store(uri, OPTIONS, on_retry=lines.append).read(uri)
    assert "SSL_CERT_FILE" in refused.value.hint
    assert lines == []


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def forward(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        send(handler, b"{}")

    with serving(forward) as port:
        monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{port}")
        uri = "http://only-the-proxy-knows.example/a.ipynb"
        assert open_store(uri).read(uri).data == b"{}"
    assert seen == ["http://only-the-proxy-knows.example/a.ipynb"]


@pytest.mark.fault(66)
def test_an_object_that_another_replaces_at_that_moment_is_written_again(web_place: Place) -> None:
    """Some servers remove what they replace: after our own move there may be nothing for a moment."""
    web_place.proxy.add(Kind.STATUS, "HEAD", "a.ipynb$", status=404)
    store = web_place.store()
    version = store.write(web_place.uri(), b"whole")
    assert (web_place.truth(), version) == (b"whole", store.read(web_place.uri()).version)
    assert "another writer replaced the object" in web_place.lines[0]


@pytest.mark.fault(73)
@pytest.mark.parametrize(("method", "status"), [("PUT", 409), ("MOVE", 409), ("MOVE", 404), ("MOVE", 403)])
@pytest.mark.parametrize("condition", [None, ABSENT])
def test_what_is_missing_on_webdav_for_a_moment_is_no_conflict(
    web_place: Place, method: str, status: int, condition: str | None
) -> None:
    """A folder (RFC 4918, 9.7.1 and 9.9.4), or an object that another writer replaces."""
    web_place.proxy.add(Kind.STATUS, method, "tmp", status=status, times=2)
    web_place.store().write(web_place.uri("new/a.ipynb"), b"whole", if_version=condition)
    assert web_place.truth("new/a.ipynb") == b"whole"
    assert all(seen.path.endswith(".tmp") for seen in web_place.proxy.sent("PUT")), "nothing was put in place"


@pytest.mark.fault(73)
def test_a_folder_that_never_comes_is_no_conflict_either(web_place: Place) -> None:
    web_place.proxy.add(Kind.STATUS, "PUT", status=409, times=10_000)
    with pytest.raises(StorageUnavailableError, match="folder was removed meanwhile"):
        web_place.store(1.0).write(web_place.uri(), b"whole")
    web_place.proxy.add(Kind.STATUS, "MKCOL", status=403, times=10_000)
    with pytest.raises(StorageDeniedError, match="do not allow making the folder of http"):
        web_place.store(1.0).write(web_place.uri("new/a.ipynb"), b"whole")


@pytest.mark.fault(73)
def test_a_folder_that_another_makes_at_that_moment_is_there(apache_folder: str) -> None:
    """Apache denies to make it then."""
    direct = open_store(apache_folder, OPTIONS)
    direct.write(apache_folder + "b", b"of another")
    port = urlsplit(apache_folder).port
    assert port is not None
    with faultproxy.running(port) as proxy:
        proxy.add(Kind.STATUS, "PUT", status=409)
        proxy.add(Kind.STATUS, "MKCOL", status=403, times=10_000)
        folder = apache_folder.replace(f":{port}/", f":{proxy.port}/")
        open_store(folder, OPTIONS).write(folder + "a", b"whole")
    assert direct.read(apache_folder + "a").data == b"whole"
