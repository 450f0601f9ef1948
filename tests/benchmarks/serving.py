"""An endpoint: how soon it is ready, what it adds to the bare function, and how it stands beside MLServer."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import httpx
import joblib
import nbformat
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import nbstep
from benchmarks.contenders import nbstep as runner
from benchmarks.measure import measure
from benchmarks.targets import OVERHEAD, SECONDS, Measured

MLSERVER = Path(sys.prefix) / "mlserver/bin/mlserver"
"""``make bench-serving`` installs it there."""
ROUNDS, REQUESTS = 5, 2_000
LOAD = ("-t2", "-c16", "-d10s", "--latency")
PARAMETERS = "model_uri: str = 'model.joblib'"
CELLS = (
    """
import joblib
import numpy as np
from typing import Annotated
from nbstep_runner import Array, serve
model = joblib.load(model_uri)
""",
    """
def predict(x: Annotated[np.ndarray, Array("float64", (-1, 4))]) -> list[int]:
    return [int(one) for one in model.predict(x)]

serve(predict, example={"x": [[5.1, 3.5, 1.4, 0.2]]})
""",
)
ASKED = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk says of a server: requests a second, and the seconds within which 99 of 100 are answered."""

    requests: float
    p99: float

    def sentence(self) -> str:
        """The figures in words."""
        return f"{self.requests:.0f} requests a second, p99 {self.p99 * 1000:.1f} ms"


@dataclass(frozen=True, slots=True)
class Serving:
    """Seconds, and the load that each server bears.

    Attributes:
        ready: From the call of ``serve`` until it returns, less what the notebook takes as an ordinary run.
        overhead: Of a request over a connection that is kept, less the function's own time; the median.
        ours: The endpoint under load.
        peer: MLServer under the same, where it is installed.
    """

    ready: float
    overhead: float
    ours: Load
    peer: Load | None

    def sentence(self) -> str:
        """The figures in words."""
        told = (
            f"endpoint: ready {self.ready:+.2f} s over the notebook's run, "
            f"{self.overhead * 1000:.2f} ms over the function, {self.ours.sentence()}"
        )
        if self.peer is None:
            return told
        requests, p99 = self.ours.requests / self.peer.requests, self.ours.p99 / self.peer.p99
        return f"{told}; MLServer {self.peer.sentence()}: {requests:.2f} times the requests, {p99:.2f} of its p99"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("endpoint, ready after its cells", SECONDS, self.ready)
        yield Measured("endpoint, a request", OVERHEAD, self.overhead)


def measure_serving(folder: Path) -> Serving:
    """Serve one model by one notebook, here and by MLServer where that is installed."""
    model = folder / "model.joblib"
    data = load_iris()
    fitted = LogisticRegression(max_iter=500).fit(data.data, data.target)
    joblib.dump(fitted, model)
    notebook = _notebook(folder, model)
    own = [measure(runner(notebook, folder / "served.out.ipynb"), folder / "log").seconds for _ in range(ROUNDS)]
    ready: list[float] = []
    for number in range(ROUNDS):
        began = time.monotonic()
        endpoint = nbstep.serve(notebook, name=f"bench-{number}", runs=folder / "endpoints")
        ready.append(time.monotonic() - began)
        if number < ROUNDS - 1:
            endpoint.delete()
    try:
        overhead = _overhead(endpoint.url, lambda: fitted.predict([[5.1, 3.5, 1.4, 0.2]]))
        ours = _load(f"{endpoint.url}/v2/models/{endpoint.name}/infer", folder)
    finally:
        endpoint.delete()
    return Serving(statistics.median(ready) - statistics.median(own), overhead, ours, _peer(folder, model))


def _notebook(folder: Path, model: Path) -> Path:
    parameters = nbformat.v4.new_code_cell(
        PARAMETERS.replace("model.joblib", str(model)), metadata={"tags": ["parameters"]}
    )
    cells = [parameters, *map(nbformat.v4.new_code_cell, CELLS)]
    path = folder / "served.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "P"}}), path
    )
    return path


def _overhead(url: str, function: Callable[[], object]) -> float:
    """Seconds of a request less those of the function, by the standard library's client, whose own time is least."""
    bare, asked = [], []
    body = json.dumps({"x": [[5.1, 3.5, 1.4, 0.2]]})
    connection = HTTPConnection(url.removeprefix("http://"))
    for _ in range(REQUESTS):
        began = time.perf_counter()
        function()
        middle = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        asked.append(time.perf_counter() - middle)
        bare.append(middle - began)
        assert answer.status == 200
    connection.close()
    return statistics.median(asked) - statistics.median(bare)


def _load(url: str, folder: Path) -> Load:
    """What wrk measures of an inference by the protocol that both servers speak.

    Raises:
        RuntimeError: A request was answered with a problem.
    """
    script = folder / "infer.lua"
    body = json.dumps(ASKED)
    script.write_text(f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n")
    told = subprocess.run(["wrk", *LOAD, "-s", str(script), url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told:
        raise RuntimeError(told)
    requests = float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
    amount, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", told)[0]
    return Load(requests, float(amount) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit])


def _peer(folder: Path, model: Path) -> Load | None:
    if not MLSERVER.exists():
        return None
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(model)}}
    place = folder / "mlserver"
    place.mkdir()
    (place / "model-settings.json").write_text(json.dumps(settings))
    (place / "settings.json").write_text(
        json.dumps(
            {"host": "127.0.0.1", "http_port": 18080, "grpc_port": 18081, "metrics_port": 18082, "parallel_workers": 0}
        )
    )
    with _running([str(MLSERVER), "start", str(place)], folder / "mlserver.log", "http://127.0.0.1:18080"):
        return _load("http://127.0.0.1:18080/v2/models/iris/infer", folder)


@contextmanager
def _running(command: list[str], log: Path, url: str) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent) as process:
        try:
            deadline = time.monotonic() + 120
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-2000:])
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/models/iris/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False
