"""A served notebook with a real kernel and a real client: how it begins, answers, drains, and how it ends."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import nbformat
import pytest

from nbstep_runner.contract import RunState
from support import kernels
from support.endpoints import EndpointRun
from support.notebooks import Code
from support.processes import until
from support.runs import run as run_notebook

SUMS = """
from nbstep_runner import serve
import os, sys, subprocess

def predict(numbers: list[float], word: str = "") -> float:
    "Adds."
    print("adding", len(numbers))
    print("quietly", file=sys.stderr)
    if word == "raise":
        raise ValueError("as asked")
    if word == "die":
        os._exit(3)
    return sum(numbers)

serve(predict, example={"numbers": [1, 2]})
"""
SERVES = "import os, time\nfrom nbstep_runner import serve\n@serve\n"


def test_it_answers_after_the_last_cell_and_ends_with_sigterm(tmp_path: Path) -> None:
    with EndpointRun(tmp_path, [SUMS, "print('last')"], name="sums") as run:
        with run.ready() as client:
            assert client.get("/v2/health/ready").json() == {"ready": True}
            response = client.post("/predict", json={"numbers": [1, 2, 3.5]}, headers={"X-Request-Id": "mine"})
            assert response.json() == 6.5
            assert until(lambda: run.record.serving is not None, 30)
            assert until((run.start / "output.partial.ipynb").exists, 30)
            record = run.record
            assert (record.state, record.exit_code) == (RunState.RUNNING, None)
            assert record.serving is not None
            assert record.serving.url == run.url
            assert record.claim is not None
            partial = nbformat.read(run.start / "output.partial.ipynb", as_version=4)
            assert partial.cells[1].outputs[0].text == "last\n"
        run.until("quietly")
        said = [(line["message"], line["fields"].get("stream")) for line in run.told("mine")]
        assert said[:2] == [("adding 3", "stdout"), ("quietly", "stderr")]
        assert run.stop() == 143
    record = run.record
    assert (record.state, record.exit_code, record.claim) == (RunState.CANCELLED, 143, None)
    assert record.serving is not None
    assert record.error is not None
    assert record.error.reference == "terminated"
    executed = nbformat.read(run.start / "output.ipynb", as_version=4)
    assert executed.cells[1].outputs[0].text == "last\n"
    assert "adding" not in str([cell.outputs for cell in executed.cells]), "what requests print is in the log alone"
    assert not (run.start / "output.partial.ipynb").exists()
    assert "adding 3" in (run.start / "output.log.jsonl").read_text()


def test_an_ordinary_run_of_the_same_notebook_serves_nothing(tmp_path: Path) -> None:
    done = run_notebook(tmp_path, [SUMS + "\nprint(predict([1]))"])
    assert done.code == 0
    assert done.text(0) == "adding 1\n1\n"
    assert done.record["serving"] is None


def test_an_exception_is_an_answer_and_the_kernels_death_the_end(tmp_path: Path) -> None:
    with EndpointRun(tmp_path, [SUMS]) as run:
        with run.ready() as client:
            response = client.post("/predict", json={"numbers": [], "word": "raise"})
            assert (response.status_code, response.json()["error"]) == (500, "ValueError: as asked")
            assert client.post("/predict", json={"numbers": [4]}).json() == 4
            with pytest.raises(httpx.RemoteProtocolError):
                client.post("/predict", json={"numbers": [], "word": "die"})
        assert run.ended() == 12
    assert run.record.state is RunState.FAILED
    assert run.record.error is not None
    assert run.record.error.reference == "kernel-died"
    assert "as asked" in " ".join(line["message"] for line in run.lines)


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("cells", "code", "said"),
    [
        (["x = 1"], 65, "the notebook offers nothing to serve"),
        ([SUMS, "1 / 0"], 10, "ZeroDivisionError"),
        (["from nbstep_runner import serve\nserve(3)"], 10, "serve() takes a callable, not a int"),
        (["from nbstep_runner import serve\nserve(lambda x: x, example={'y': 1})"], 10, "there is no input 'y'"),
        (["from nbstep_runner import serve\nserve(lambda x: 1 / x, example={'x': 0})"], 10, "ZeroDivisionError"),
        (["from nbstep_runner import serve\nserve(lambda x: open('/no'), example={'x': 0})"], 10, "FileNotFoundError"),
    ],
    ids=["nothing offered", "a later cell fails", "no callable", "wrong example", "example raises", "model missing"],
)
def test_what_cannot_serve_never_becomes_ready(tmp_path: Path, cells: list[str], code: int, said: str) -> None:
    with EndpointRun(tmp_path, cells) as run:
        assert run.ended() == code
    record = run.record
    assert (record.state, record.exit_code, record.serving) == (RunState.FAILED, code, None)
    assert record.error is not None
    assert said in record.error.message


def test_another_language_is_refused_before_the_first_cell(tmp_path: Path) -> None:
    spec = {"name": "bash", "display_name": "Bash", "language": "bash"}
    with EndpointRun(tmp_path, ["touch ran"], kernelspec=spec, env=kernels.bash(tmp_path / "kernels")) as run:
        assert run.ended() == 65
    assert run.record.error is not None
    assert "a notebook in bash cannot be served" in run.record.error.message
    assert not Path("ran").exists()


def test_a_kernel_without_the_extra_is_told_before_the_first_cell(tmp_path: Path) -> None:
    hidden = tmp_path / "site"
    hidden.mkdir()
    finder = "import sys\nclass No:\n def find_spec(self, name, *_):\n  if name == 'uvicorn': raise ModuleNotFoundError"
    (hidden / "sitecustomize.py").write_text(f"{finder}(name)\nsys.meta_path.insert(0, No())\n")
    with EndpointRun(tmp_path, ["open('ran', 'w')"], env={"PYTHONPATH": str(hidden)}) as run:
        assert run.ended() == 78
    assert run.record.error is not None
    assert "nbstep[serve]" in run.record.error.hint
    assert not Path("ran").exists()


def test_a_taken_address_is_told(tmp_path: Path) -> None:
    with (
        EndpointRun(tmp_path / "a", [SUMS]) as first,
        first.ready() as client,
        EndpointRun(tmp_path / "b", [SUMS], port=client.base_url.port) as second,
    ):
        assert second.ended() == 10
    assert second.record.error is not None
    assert "Address already in use" in second.record.error.message


def test_requests_under_way_are_answered_before_the_end(tmp_path: Path) -> None:
    slow = SERVES + "def predict(s: float) -> float:\n    print('began')\n    time.sleep(s)\n    return s"
    with EndpointRun(tmp_path, [slow]) as run, run.ready() as client, ThreadPoolExecutor() as threads:
        answer = threads.submit(client.post, "/predict", json={"s": 3})
        run.until("began")
        stopped = threads.submit(run.stop)
        assert answer.result().json() == 3
        assert stopped.result() == 143
        assert answer.result().headers["connection"] == "close"
    with pytest.raises(httpx.ConnectError):
        httpx.get(run.url)


@pytest.mark.fault(63)
def test_no_request_is_lost_while_it_drains(tmp_path: Path) -> None:
    """Clients on open connections are answered until each is told that its connection ends."""
    with EndpointRun(tmp_path, [SUMS]) as run:
        run.ready().close()
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=run.url, timeout=60) as client:
                while True:
                    response = client.post("/predict", json={"numbers": [1]})
                    answers.append(response.status_code)
                    if response.headers.get("connection") == "close":
                        return

        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(ask) for _ in range(4)]
            while len(answers) < 50:
                time.sleep(0.01)
            assert run.stop() == 143
            for each in asking:
                each.result()
    assert set(answers) == {200}


@pytest.mark.fault(63)
def test_a_call_that_never_ends_does_not_hold_up_the_end(tmp_path: Path) -> None:
    hangs = SERVES + "def predict() -> None:\n    print('pid', os.getpid())\n    time.sleep(600)"
    with EndpointRun(tmp_path, [hangs], request_seconds=1.0) as run, run.ready() as client:
        assert client.post("/predict", json={}).status_code == 504
        pid = int(run.until("pid ")["message"].split()[1])
        started = time.monotonic()
        assert run.stop() == 143
        assert time.monotonic() - started < 40
    assert until(lambda: not Path(f"/proc/{pid}").exists(), 60)
    assert run.record.exit_code == 143


def test_secrets_are_masked_in_what_requests_print(tmp_path: Path) -> None:
    cell = "from nbstep_runner import serve\n@serve\ndef predict() -> int:\n    print('the key is', key)\n    return 1"
    parameters = Code("key: str = ''", tags=("parameters",))
    with (
        EndpointRun(
            tmp_path, [parameters, cell], env={"KEY": "s3cr3t-value"}, parameters={"key": {"secret": "env:KEY"}}
        ) as run,
        run.ready() as client,
    ):
        client.post("/predict", json={})
        assert run.until("the key is")["message"] == "the key is ***"
