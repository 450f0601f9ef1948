"""``nbstep server`` as whoever operates it types it: two on one folder, told to end; and what is not served."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support import notebooks
from support.service import events

NBSTEP = Path(sys.executable).with_name("nbstep")
SLOW = "import time\nfor number in range(600):\n    print('line', number, flush=True)\n    time.sleep(0.1)"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def nbstep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NBSTEP, *arguments], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def token(tmp_path: Path) -> str:
    """A token that the command made, with its hash in the file that a configuration names."""
    made = nbstep("server", "--new-token")
    assert (made.returncode, made.stderr) == (0, "")
    entry = yaml.safe_load(made.stdout)
    (tmp_path / "tokens.yaml").write_text(
        yaml.safe_dump({"tokens": [{"name": "submitter", "sha256": entry["sha256"]}]})
    )
    config = {
        "folders": {
            "team": {
                "uri": str(tmp_path / "runs"),
                "profiles": ["here"],
                "readers": ["submitter"],
                "submitters": ["submitter"],
            }
        },
        "notebooks": [str(tmp_path)],
        "profiles": {"here": {"on": "local"}},
        "access": {"tokens": str(tmp_path / "tokens.yaml")},
        "url": "http://127.0.0.1/nbstep",
    }
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(config))
    return str(entry["token"])


@contextmanager
def server(token: str, lines: list[dict[str, Any]]) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """The command until the end of the block, where SIGTERM ends it if nothing has; its log comes into the list."""
    command: list[str | Path] = [NBSTEP, "server", "--config", "server.yaml", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            words, _, address = process.stderr.readline().strip().rpartition(" ")
            assert words == "nbstep: serving at"
            headers = {"authorization": f"Bearer {token}"}
            with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=120) as client:
                yield client, process
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        lines += map(json.loads, err.splitlines())
        assert (process.returncode, out) == (0, "")


@pytest.mark.slow
@pytest.mark.fault(62)
def test_two_servers_are_one_service_and_each_ends_when_it_is_told(tmp_path: Path, token: str) -> None:
    asked = {"notebook": str(notebooks.write(tmp_path / "slow.ipynb", [SLOW]))}
    once = {"idempotency-key": "once"}
    first_log: list[dict[str, Any]] = []
    second_log: list[dict[str, Any]] = []
    with server(token, second_log) as (second, _):
        with server(token, first_log) as (first, process):
            assert first.get("v1/runs", headers={"authorization": "Bearer x"}).status_code == 401
            started = first.post("v1/runs", json=asked, headers=once)
            assert started.status_code == 202
            place = started.headers["location"].replace("/nbstep/", "").replace("?", "/events?")
            had: list[str] = []
            with first.stream("GET", place) as stream:
                for event in events(stream.iter_lines()):
                    had += [event.id] if event.id else []
                    if event.data.get("message") == "line 3":
                        process.send_signal(signal.SIGTERM)  # the stream ends, and is not cut off
            assert "line 599" not in had
        replayed = second.post("v1/runs", json=asked, headers=once)
        assert (replayed.status_code, replayed.json()) == (202, started.json())
        assert [each["id"] for each in second.get("v1/runs").json()["runs"]] == [started.json()["id"]]
        with second.stream("GET", place, headers={"last-event-id": had[-1]}) as stream:
            heard = events(stream.iter_lines())
            following = next(event.id for event in heard if event.id)
        assert int(following.split("-")[1]) == len(had) + 1
        assert second.post(place.replace("/events?", "/cancel?")).status_code == 202
        with second.stream("GET", place) as stream:
            assert list(events(stream.iter_lines()))[-1].data["state"] == "cancelled"
    refused, submitted, *_ = first_log
    assert (refused["status"], "caller" in refused) == (401, False)
    assert {name: submitted[name] for name in ("severity", "caller", "method", "folder", "run", "status")} == {
        "severity": "INFO",
        "caller": "submitter",
        "method": "POST",
        "folder": "team",
        "run": started.json()["id"],
        "status": 202,
    }
    assert not [line for line in first_log + second_log if line["severity"] != "INFO"]


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        ("folders: {a: {uri: /runs}}", 2, "the configuration does not say how callers are known"),
        pytest.param(
            "folders: {a: {uri: /runs, reader: [x]}}",
            65,
            "server.yaml does not fit: Object contains unknown field `reader`",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "folders: {a: {uri: /runs, readers: [x]}}\naccess: {tokens: none.yaml}",
            66,
            "there is no file of tokens none",
            marks=pytest.mark.slow,
        ),
        ("folders: {a: {uri: /runs}}\naccess: {tokens: none.yaml}", 65, "nobody may look into folders.a"),
    ],
)
def test_what_cannot_be_served_is_said_in_two_lines(tmp_path: Path, config: str, code: int, said: str) -> None:
    (tmp_path / "server.yaml").write_text(config)
    done = nbstep("server", "--config", "server.yaml")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 2)
    assert said in done.stderr


def test_an_address_at_which_it_could_not_be_shown_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    config = {
        "folders": {"team": {"uri": str(tmp_path / "runs"), "readers": ["submitter"]}},
        "access": {"tokens": str(tmp_path / "tokens.yaml")},
        "url": "https://runs.example/runs",
    }
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(config))
    done = nbstep("server", "--manifest", "--config", "server.yaml")
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr.splitlines() == [
        "nbstep: the path of url, /runs, begins with /runs, as the service's own do",
        "Show the service below another path, such as /nbstep.",
    ]
