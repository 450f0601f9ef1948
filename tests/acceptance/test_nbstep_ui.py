"""``nbstep ui`` as people type it and programs ask it: a real run, started, followed and fetched over HTTP."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support import notebooks
from support.service import events

pytestmark = pytest.mark.usefixtures("own_state")

NBSTEP = Path(sys.executable).with_name("nbstep")
CELLS: list[str | notebooks.Code] = [
    notebooks.Code("n: int = 1", tags=("parameters",)),
    "print('n is', n)\nfrom nbstep_runner import result\nresult('n', n)",
]


@contextmanager
def service(*arguments: str, end: signal.Signals = signal.SIGINT, code: int = 0) -> Iterator[httpx.Client]:
    """The command until the end of the block, which Ctrl-C is; and a client that was given its address."""
    command: list[str | Path] = [NBSTEP, "ui", "--no-browser", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address, _, token = process.stdout.readline().strip().partition("/?token=")
            headers = {"authorization": f"Bearer {token}"}
            with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
                yield client
        finally:
            process.send_signal(end)
            rest = process.communicate(timeout=60)
        assert (process.returncode, *rest) == (code, "", "")


@pytest.mark.slow
def test_a_notebook_is_run_followed_and_fetched_over_http(tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "train.ipynb", CELLS)
    with service() as client:
        assert client.get("/v1/runs", headers={"authorization": ""}).status_code == 401
        schema = client.get("/v1/notebooks/signature", params={"uri": str(notebook)}).json()
        assert schema["properties"]["n"]["default"] == 1
        asked = {"notebook": str(notebook), "parameters": {"n": 7}}
        answer = client.post("/v1/runs", json=asked, headers={"idempotency-key": "once"})
        assert answer.status_code == 202
        place = answer.headers["location"].partition("?")[0]
        with client.stream("GET", f"{place}/events") as stream:
            heard = list(events(stream.iter_lines()))
        numbers = [tuple(map(int, event.id.split("-"))) for event in heard if event.id]
        assert numbers == [(1, seq) for seq in range(1, len(numbers) + 1)]
        assert any("n is 7" in event.data["message"] for event in heard if event.name == "line")
        assert (heard[-1].name, heard[-1].data["state"]) == ("end", "succeeded")
        with client.stream("GET", f"{place}/events", headers={"last-event-id": f"1-{len(numbers) - 1}"}) as stream:
            assert [event.id for event in events(stream.iter_lines()) if event.id] == [f"1-{len(numbers)}"]
        told = client.get(place).json()
        assert (told["state"], told["results"], told["parameters"]) == ("succeeded", {"n": 7}, {"n": 7})
        names = {each["name"] for each in told["objects"]}
        assert names == {f"output{ending}" for ending in (".ipynb", ".result.json", ".log.jsonl", ".html")}
        assert "n is 7" in client.get(f"{place}/objects/output.ipynb").text
        again = client.post("/v1/runs", json=asked, headers={"idempotency-key": "once"})
        assert (again.status_code, again.json()) == (202, answer.json())
        (listed,) = client.get("/v1/runs?state=succeeded").json()["runs"]
        assert listed["id"] == told["id"]
        assert 'route="/v1/runs/{id}/events",status="200"} 2.0' in client.get("/metrics").text


@pytest.mark.slow
@pytest.mark.fault(62)
def test_a_stream_goes_on_at_the_next_server_after_one_was_killed(tmp_path: Path) -> None:
    cell = "import time\nfor number in range(100):\n    print('line', number, flush=True)\n    time.sleep(0.02)"
    notebook = notebooks.write(tmp_path / "slow.ipynb", [cell])
    had: list[str] = []
    with service(end=signal.SIGKILL, code=-signal.SIGKILL) as client:
        place = client.post("/v1/runs", json={"notebook": str(notebook)}).headers["location"]
        address = place.replace("?", "/events?")
        with client.stream("GET", address) as stream:
            for event in events(stream.iter_lines()):
                had += [event.id] if event.id else []
                if event.data.get("message") == "line 10":
                    break
    with service() as client, client.stream("GET", address, headers={"last-event-id": had[-1]}) as stream:
        heard = list(events(stream.iter_lines()))
    had += [event.id for event in heard if event.id]
    assert had == [f"1-{seq}" for seq in range(1, len(had) + 1)]
    assert "line 99" in [event.data.get("message") for event in heard]
    assert (heard[-1].name, heard[-1].data["state"]) == ("end", "succeeded")


def test_a_port_that_is_taken_is_said_in_two_lines() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [NBSTEP, "ui", "--no-browser", "--port", str(port)], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"nbstep: port {port} cannot be listened on: Address already in use\n"
        "Choose another with --port, or leave it out: a free one is taken.\n"
    )
