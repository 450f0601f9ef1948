"""A run that loses its network in mid-cell and while it publishes: a partition by namespaces, no proxy that helps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from servers import s3 as s3_servers
from servers.relay import relayed
from servers.s3 import S3Server
from support.network import Cable, cable
from support.notebooks import write
from support.runs import RUNNER

Tried = Callable[[str, float], None]
BUCKET = "partitioned"
CELL = "import time\nprint('begun', flush=True)\ntime.sleep({seconds})"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_servers.running() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def wire() -> Iterator[Cable]:
    with cable() as made:
        yield made


def started(
    folder: Path, wire: Cable, server: S3Server, place: str, seconds: float, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """A run in the namespace whose output is on the server outside."""
    notebook = write(folder / "in.ipynb", [CELL.format(seconds=seconds), "print('after')"])
    with relayed(server.port, wire.address) as (host, port):
        environment = os.environ | server.environment(f"http://{host}:{port}")
        command = wire.inside(*RUNNER, str(notebook), f"s3://{BUCKET}/{place}/out.ipynb", *options)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


def at_cell(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if '"begun"' in line:
            return
    pytest.fail("the run did not begin")


def record_of(server: S3Server, place: str) -> dict[str, Any]:
    """The record as the world sees it, past the partition."""
    body = server.client().get_object(Bucket=BUCKET, Key=f"{place}/out.result.json")["Body"]
    record: dict[str, Any] = json.loads(body.read())
    return record


@pytest.mark.fault(18)
@pytest.mark.parametrize("seconds", [3, 12])
def test_a_partition_while_the_run_publishes_is_waited_out(
    tmp_path: Path, wire: Cable, server: S3Server, tried: Tried, seconds: int
) -> None:
    place = f"waited-{seconds}"
    for process in started(tmp_path, wire, server, place, 1.0):
        at_cell(process)
        wire.pull()
        mended = Timer(seconds, wire.plug)
        mended.start()
        began = time.monotonic()
        output, _ = process.communicate(timeout=100)
        mended.join()
        assert process.returncode == 0, output
    record = record_of(server, place)
    assert (record["state"], record["exit_code"]) == ("succeeded", 0)
    assert [cell["state"] for cell in record["cells"]] == ["succeeded", "succeeded"]
    tried(f"network gone for {seconds} s", time.monotonic() - began)


@pytest.mark.fault(15)
@pytest.mark.fault(18)
def test_a_partition_past_the_budget_keeps_the_notebook_here(
    tmp_path: Path, wire: Cable, server: S3Server, tried: Tried
) -> None:
    place = "budget"
    for process in started(tmp_path, wire, server, place, 1.0, "--retry-seconds", "3"):
        at_cell(process)
        wire.pull()
        began = time.monotonic()
        output, _ = process.communicate(timeout=110)
        took = time.monotonic() - began
        wire.plug()
        assert process.returncode == 75, output
    kept = next(line for line in output.splitlines() if "it is kept in" in line)
    path = Path(json.loads(kept)["message"].rpartition("it is kept in ")[2])
    assert "begun" in path.read_text()
    shutil.rmtree(path.parent)
    assert record_of(server, place)["state"] == "running"  # nobody could tell it otherwise; the lease settles it
    assert took < 60
    tried("network gone past the retry budget", took)
