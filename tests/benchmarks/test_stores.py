"""What storage costs a run: round trips of a slow store, and bytes that go up."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measure import measured_environment
from nbstep_runner.stores import open_store
from servers import faultproxy
from servers.faultproxy import Proxy
from servers.fixtures import gcs_folder, gcs_server, s3_folder, s3_server  # noqa: F401 - fixtures are found by their names
from servers.gcs import GcsServer
from servers.s3 import S3Server
from support import notebooks
from support.runs import RUNNER

ROUNDS = 5
DELAY = 0.1
ALLOWED_SECONDS = 0.5
ALLOWED_TIMES = 4
KNOWN = {"NBSTEP_CONDITIONAL_WRITES": "yes"}
"""As of Amazon's own servers: what is found out of others takes two requests more."""


@pytest.fixture(params=["gs", "s3"])
def slow(request: pytest.FixtureRequest) -> Iterator[tuple[str, Proxy, dict[str, str]]]:
    """A folder in a store, the proxy before it, and the environment that leads there."""
    scheme = {"gs": "gcs", "s3": "s3"}[request.param]
    server: GcsServer | S3Server = request.getfixturevalue(f"{scheme}_server")
    folder: str = request.getfixturevalue(f"{scheme}_folder")
    with faultproxy.running(server.port) as proxy:
        yield folder, proxy, {**measured_environment(), **server.environment(proxy.endpoint), **KNOWN}


def seconds(source: str, output: str, environment: dict[str, str]) -> float:
    started = time.monotonic()
    done = subprocess.run([*RUNNER, source, output, "--force"], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return time.monotonic() - started


def test_fifty_cells_at_a_tenth_of_a_second_a_request(slow: tuple[str, Proxy, dict[str, str]], tmp_path: Path) -> None:
    folder, proxy, environment = slow
    cells = [f"x = {number}" for number in range(50)]
    local = notebooks.write(tmp_path / "in.ipynb", cells)
    open_store(folder).write(folder + "in.ipynb", local.read_bytes())
    proxy.delay = DELAY
    pairs = []
    for turn in range(ROUNDS):
        here = seconds(str(local), str(tmp_path / f"{turn}.ipynb"), environment)
        proxy.seen.clear()
        there = seconds(folder + "in.ipynb", f"{folder}{turn}.ipynb", environment)
        pairs.append((here, there))
    costs = [there - here for here, there in pairs]
    print(f"\nlocal, remote: {pairs}; median cost {statistics.median(costs):.2f} s; {len(proxy.seen)} requests")  # noqa: T201 - a benchmark's result
    print("\n".join(f"{seen.method} {seen.path[:100]} {seen.sent}" for seen in proxy.seen))  # noqa: T201 - as above
    assert statistics.median(costs) <= ALLOWED_SECONDS


def test_bytes_that_go_up(slow: tuple[str, Proxy, dict[str, str]], tmp_path: Path) -> None:
    folder, proxy, environment = slow
    cell = "import os; print(os.urandom(50_000).hex())"
    local = notebooks.write(tmp_path / "in.ipynb", [cell] * 200)
    output = f"{folder}out.ipynb"
    seconds(str(local), output, environment)
    final = open_store(folder).stat(output)
    assert final is not None
    assert final.size > 200 * 100_000
    sent = sum(seen.sent for seen in proxy.seen)
    print(f"\n{sent / final.size:.2f} times the final size of {final.size} bytes")  # noqa: T201 - a benchmark's result
    assert sent <= ALLOWED_TIMES * final.size
    assert json.loads(open_store(folder).read(output).data)["nbformat"] == 4
