"""Requests that nobody honest makes: each is refused as RFC 9457 has it, and none reaches what it aims at."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest

from nbstep.backends.memory import MemoryBackend
from nbstep.profiles.storage import store_of
from nbstep.server.following import Streams
from nbstep_runner.contract import RunResult, RunSpec, RunState, StorageOptions, encode
from nbstep_runner.stores import local, redact
from support.service import TOKEN, Service, config, listening, serving

PROBLEM: Final = "application/problem+json"
SECRET: Final = "what only the server may read"  # noqa: S105 - no password
RUN: Final = "r"


def record(uri: str, run_id: str = RUN, **members: Any) -> bytes:
    """The record of a run that has ended, with its log there."""
    spec = RunSpec(run_id=run_id, input_uri=f"{uri}/input.ipynb", output_uri=f"{uri}/output.ipynb")
    made = replace(RunResult.blank(spec, redact), state=RunState.SUCCEEDED, exit_code=0, log_uri="there")
    return encode(replace(made, **members))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server at a socket, with one run."""
    runs = f"memory://{secrets.token_hex(4)}/runs"
    store_of(runs, StorageOptions()).write(f"{runs}/{RUN}/output.result.json", record(f"{runs}/{RUN}"))
    folders = {"team": {"uri": runs, "profiles": ["small"]}}
    with listening(config(folders=folders, profiles={"small": {"on": "memory"}})) as (url, _):
        yield url


def answered(address: str, head: str, body: bytes = b"", token: str = TOKEN) -> tuple[int, dict[str, str], bytes]:
    """What comes back of bytes that no client library would send: status, headers in lower case, body."""
    place = urlsplit(address)
    lines = [*head.split("\n"), *([f"Authorization: Bearer {token}"] if token else []), "", ""]
    with closing(socket.create_connection((place.hostname, place.port), 120)) as connected:
        connected.sendall("\r\n".join(lines).replace("HOST", place.netloc).encode("latin-1") + body)
        received = b""
        while not is_whole(received) and (some := connected.recv(2**16)):
            received += some
    top, _, rest = received.partition(b"\r\n\r\n")
    first, *others = top.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), {each.partition(": ")[0].lower(): each.partition(": ")[2] for each in others}, rest


def is_whole(received: bytes) -> bool:
    """Whether an answer that tells its length is there."""
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def is_told(answer: tuple[int, dict[str, str], bytes], *statuses: int) -> bool:
    """Whether it is a problem of one of these statuses, whole."""
    status, headers, body = answer
    assert status in statuses, answer
    assert headers["content-type"] == PROBLEM, answer
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    told = json.loads(body)
    assert told["status"] == status
    return {"title", "status", "detail", "reference"} <= told.keys()


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e%252fetc%252fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "output.ipynb%00.html",
        "output.files/../output.result.json",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "output.ipynb/..",
        "output.%EF%BC%8E/x",
        "%ff%fe",
        "output.ipynb;x=1",
    ],
)
def test_no_name_of_an_object_is_a_path(address: str, name: str) -> None:
    assert is_told(answered(address, f"GET /v1/runs/{RUN}/objects/{name} HTTP/1.1\nHost: HOST"), 404)


@pytest.mark.fault(62)
@pytest.mark.parametrize("folder", ["..", "team/..", "team/%2e%2e", "team/%252e%252e", "team//", "team/a%00b", "/etc"])
@pytest.mark.parametrize("path", ["/v1/runs/r", "/v1/runs/r/events", "/v1/runs", "/v1/sweeps/r"])
def test_no_folder_is_a_path(address: str, folder: str, path: str) -> None:
    assert is_told(answered(address, f"GET {path}?folder={folder} HTTP/1.1\nHost: HOST"), 404)


@pytest.mark.fault(62)
@pytest.mark.parametrize("run_id", ["..", "%2e%2e", "%252e", "a%2fb", "a%5cb", "r%00", "R", "r%0a", "latest", "r*"])
def test_no_id_is_anything_but_a_runs(address: str, run_id: str) -> None:
    for method, rest in (("GET", ""), ("GET", "/events"), ("GET", "/objects/output.ipynb"), ("POST", "/cancel")):
        answer = answered(address, f"{method} /v1/runs/{run_id}{rest} HTTP/1.1\nHost: HOST\nContent-Length: 0")
        assert is_told(answer, 404)


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1/evil.example",
        "localhost:80\\@evil.example",
        "[::1].evil.example",
        "[::1",
        "",
        "0.0.0.0",  # noqa: S104 - named, not listened on
        "2130706433",
        "127.1",
    ],
)
def test_another_name_of_this_machine_is_refused(address: str, host: str) -> None:
    """As a page does whose own name points here by now, with the cookie that its browser has of it."""
    for token in (TOKEN, ""):
        assert is_told(answered(address, f"GET /v1/runs HTTP/1.1\nHost: {host}", token=token), 400, 403)


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    "head",
    [
        "GET /v1/runs HTTP/1.1",
        "GET /v1/runs HTTP/1.1\nHost: HOST\nHost: evil.example",
        "GET http://evil.example/v1/runs HTTP/1.1\nHost: evil.example",
        "GET /v1/runs HTTP/1.1\nHost: HOST\nX-Long: " + "x" * 2**17,
        "GET /v1/runs?" + "x" * 2**17 + " HTTP/1.1\nHost: HOST",
        "GET /v1/runs HTTP/1.1\nHost: HOST\nno header",
        "GET /v1/runs HTTP/1.1\nHost: HOST\nA: b\x00c",
        "GET /v1/ru ns HTTP/1.1\nHost: HOST",
        "\x16\x03\x01\x02\x00",
        "POST /v1/runs HTTP/1.1\nHost: HOST\nContent-Length: 1\nContent-Length: 2",
        "POST /v1/runs HTTP/1.1\nHost: HOST\nContent-Length: -1",
        "POST /v1/runs HTTP/1.1\nHost: HOST\nTransfer-Encoding: gzip",
    ],
    ids=lambda head: re.sub(r"x{9,}", "x", head)[:60],
)
def test_what_is_no_request_is_told_so(address: str, head: str) -> None:
    assert is_told(answered(address, head), 400, 403, 501)


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://HOST", "http://HOST.evil.example", "http://HOST:1", "HOST"]
)
def test_a_form_of_another_site_changes_nothing(address: str, origin: str) -> None:
    """Neither with the cookie that the browser sends along, nor with a token that the address has."""
    port = urlsplit(address).port
    head = (
        f"POST /runs/{RUN}/cancel?token={TOKEN} HTTP/1.1\nHost: HOST\nOrigin: {origin}\n"
        f"Cookie: nbstep-token-{port}={TOKEN}\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 0"
    )
    assert is_told(answered(address, head, token=""), 403)


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    "cursor",
    [
        "%00",
        "AAAA",
        "W10",
        quote("é"),
        "WzFlOTk5LCIiXQ",
        "WyIxIiwyXQ",
        "x" * 5000,
        "W251bGwsbnVsbF0",
        "WzEuMCwiXHVkODAwIl0",
    ],
)
def test_a_cursor_that_no_list_gave_is_refused(address: str, cursor: str) -> None:
    status, headers, body = answered(address, f"GET /v1/runs?cursor={cursor} HTTP/1.1\nHost: HOST")
    assert status == 200 or is_told((status, headers, body), 400), body


@pytest.mark.fault(62)
@pytest.mark.parametrize("given", ["0-1", "1-0", "1-", "1--1", "1-1,2-2", "' OR 1=1", "9" * 40 + "-1", "\xb2-1"])
def test_the_id_of_no_event_is_refused(address: str, given: str) -> None:
    head = f"GET /v1/runs/{RUN}/events HTTP/1.1\nHost: HOST\nLast-Event-ID: {given}"
    assert is_told(answered(address, head), 400)
    assert is_told(answered(address, f"GET /v1/runs/{RUN}/events?after={quote(given)} HTTP/1.1\nHost: HOST"), 400)


@pytest.mark.fault(62)
@pytest.mark.parametrize("depth", [400, 900, 5000, 200_000])
@pytest.mark.parametrize("member", ["parameters", "overrides", "labels"])
def test_what_is_nested_deeply_is_refused(address: str, depth: int, member: str) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"notebook": "/n.ipynb", "{member}": {nested}}}'.encode()
    head = f"POST /v1/runs HTTP/1.1\nHost: HOST\nContent-Type: application/json\nContent-Length: {len(body)}"
    assert is_told(answered(address, head, body), 400, 403, 413, 422)


@pytest.mark.fault(62)
def test_a_large_body_is_refused_however_it_comes(address: str) -> None:
    post = "POST /v1/runs HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
    assert is_told(answered(address, f"{post}Content-Length: 1000000000000"), 413)
    chunked = b"".join(b"10000\r\n%b\r\n" % (b" " * 2**16) for _ in range(20)) + b"0\r\n\r\n"
    assert is_told(answered(address, f"{post}Transfer-Encoding: chunked", chunked), 413)
    assert is_told(answered(address, f"{post}Content-Encoding: gzip\nContent-Length: 0"), 415)
    form = post.replace("application/json", "multipart/form-data")
    assert is_told(answered(address, f"{form}Content-Length: 0"), 400)


def test_no_address_is_sent_on_to_a_host_that_whoever_asks_made_up() -> None:
    service = Service.of(folders={"team": {"uri": "memory://x/y"}})
    answer = service.get("/v1/runs/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_too_many_connections_are_told_so_and_that_the_server_lives_is_told_all_the_same() -> None:
    app = Service.of(folders={"team": {"uri": "memory://x/y"}}).app
    with serving(app, Streams(1), connections=1) as port:
        address = f"http://127.0.0.1:{port}"
        with closing(socket.create_connection(("127.0.0.1", port), 120)):
            status, headers, body = answered(address, "GET /v1/runs HTTP/1.1\nHost: HOST")
            assert is_told((status, headers, body), 503)
            assert headers["retry-after"] == "10"
            assert answered(address, "GET /healthz HTTP/1.1\nHost: HOST")[0] == 200


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """What lies beside the folder ``runs``: another team's run, and a file that the server alone may read."""
    (tmp_path / "secret.txt").write_text(SECRET)
    theirs = tmp_path / "theirs/run"
    theirs.mkdir(parents=True)
    (theirs / "output.result.json").write_bytes(record(str(theirs), "run", parameters={"a": SECRET}))
    (theirs / "output.log.jsonl").write_text(SECRET)
    (tmp_path / "runs").mkdir()
    return tmp_path


def link_of(others: Path, name: str, target: str, *, whole: bool = False) -> None:
    """A run of ours in which one name, or all of it, is a link to something of theirs."""
    run = others / "runs/mine"
    if whole:
        run.symlink_to(others / target)
        return
    run.mkdir(exist_ok=True)
    if name != "output.result.json":
        (run / "output.result.json").write_bytes(record(str(run), "mine"))
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(others / target)


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    ("name", "target", "whole"),
    [
        ("output.log.jsonl", "secret.txt", False),
        ("output.ipynb", "secret.txt", False),
        ("output.html", "secret.txt", False),
        ("spec.json", "secret.txt", False),
        ("output.attempts/1.log.jsonl", "secret.txt", False),
        ("output.result.json", "theirs/run/output.result.json", False),
        ("", "theirs/run", True),
    ],
)
def test_no_link_in_a_folder_leads_out_of_it(others: Path, name: str, target: str, whole: bool) -> None:
    link_of(others, name, target, whole=whole)
    service = Service.of(folders={"team": {"uri": str(others / "runs")}})
    paths = ["/v1/runs", "/v1/runs/mine", "/v1/runs/mine/events?follow=false", "/runs/mine", "/compare?run=mine"]
    paths += [f"/v1/runs/mine/objects/output{ending}" for ending in (".ipynb", ".html", ".log.jsonl", ".result.json")]
    for path in paths:
        answer = service.get(path, headers={"accept": "text/html"} if not path.startswith("/v1") else {})
        assert SECRET not in answer.text, path
        assert path == "/v1/runs" or answer.status_code == 404, (path, answer.text)


@pytest.mark.fault(62)
@pytest.mark.parametrize("name", ["output.result.json", "output.log.jsonl", "submission.json", "spec.json"])
def test_nobody_waits_for_a_pipe_in_a_folder(others: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can make one there would keep a thread for each request about it."""
    opened: list[Path] = []
    monkeypatch.setattr(local, "_read_pipe", lambda _, path: opened.extend([path]))
    run = others / "runs/mine"
    run.mkdir()
    if name != "output.result.json":
        (run / "output.result.json").write_bytes(record(str(run), "mine"))
    os.mkfifo(run / name)
    service = Service.of(folders={"team": {"uri": str(others / "runs")}})
    for path in ("/v1/runs", "/v1/runs/mine", "/v1/runs/mine/events?follow=false", "/runs/mine"):
        assert service.get(path).status_code == (200 if path == "/v1/runs" else 404), path
    assert opened == []


@pytest.mark.fault(62)
def test_nothing_is_written_where_a_link_leads(others: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBackend, "sweep_workers", lambda _, jobs: (jobs or 1, 1), raising=False)
    notebook = others / "n.ipynb"
    code = {"cell_type": "code", "source": "a = 0", "metadata": {"tags": ["parameters"]}, "outputs": []}
    cell = {"id": "one", "execution_count": None, **code}
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))
    (others / "runs/mine").symlink_to(others / "theirs")
    folders = {"team": {"uri": str(others / "runs"), "profiles": ["small"]}}
    service = Service.of(folders=folders, profiles={"small": {"on": "memory"}}, notebooks=[str(others)])
    sweep: dict[str, Any] = {"name": "lr", "grid": {"a": [1]}}
    started = service.post("/v1/sweeps", json={"notebook": str(notebook), **sweep})
    assert started.status_code == 202, started.text
    lr, own = others / "runs/lr", started.json()["id"].rpartition("/")[2]
    plan, moved = lr / own / "sweep.json", others / "theirs/sweep.json"
    plan.rename(moved)
    plan.symlink_to(moved)
    assert service.get(f"/v1/sweeps/lr/{own}").status_code == 404
    moved.unlink()
    (inputs,) = lr.glob("inputs-*")
    for linked in (inputs, lr / own, lr / "r2"):
        shutil.rmtree(linked, ignore_errors=True)
        linked.symlink_to(others / "theirs")
        named = {"run_id": "r2"} if linked.name == "r2" else {}
        answer = service.post("/v1/sweeps", json={"notebook": str(notebook), **sweep, **named})
        assert (answer.status_code, answer.json()["reference"]) == (404, "not-found"), answer.text
        linked.unlink()
    for path, asked in (("/v1/runs", {"run_id": "mine"}), ("/v1/sweeps", sweep | {"name": "mine"})):
        answer = service.post(path, json={"notebook": str(notebook), **asked})
        assert answer.status_code == 404, answer.text
    assert sorted(each.name for each in (others / "theirs").iterdir()) == ["run"]
