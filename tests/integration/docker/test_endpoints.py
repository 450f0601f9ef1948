"""Endpoints as containers: they answer, start again when they end, are found by any process, and drain."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import nbstep
from nbstep import Endpoint
from nbstep.backends.docker.engine import engine
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError, CellFailedError, OutputConflictError, UsageError
from servers.dockerd import Docker
from support import notebooks, processes

pytestmark = [pytest.mark.server, pytest.mark.timeout(600), pytest.mark.usefixtures("environment")]

TAG = "nbstep-test-environment:current"
NETWORK = "nbstep-test-endpoints"
SCALES = """
import os, pathlib, time
from nbstep_runner import serve
if not pathlib.Path(model).exists():
    raise FileNotFoundError("no model: " + model)

@serve
def predict(x: float, seconds: float = 0.0) -> dict[str, float]:
    if x < 0:
        os._exit(3)
    print("asked", x)
    time.sleep(seconds)
    return {"y": x * factor}
"""
PARAMETERS = notebooks.Code("factor: float = 2.0\nmodel: str = '/tmp'", tags=("parameters",))


@pytest.fixture(scope="module")
def environment(docker: Docker, environment_image: str) -> Iterator[None]:
    """An image that can serve, and a network whose ports this machine reaches."""
    assert environment_image == TAG
    docker.call("network", "create", "--driver=bridge", NETWORK)
    yield
    docker.call("network", "rm", NETWORK, check=False)


@pytest.fixture(autouse=True)
def _place(docker: Docker, monkeypatch: pytest.MonkeyPatch, work: Path) -> Iterator[None]:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    engine.cache_clear()
    monkeypatch.chdir(work)
    notebooks.write(Path("scales.ipynb"), [PARAMETERS, SCALES])
    yield
    left = docker.call("ps", "--all", "--quiet", "--filter=label=nbstep/endpoint").stdout.split()
    if left:
        docker.call("rm", "--force", "--volumes", *left)


def serve(params: dict[str, Any] | None = None, *, network: str = NETWORK, **more: Any) -> Endpoint:
    options = {"docker": {"network": network}}
    return nbstep.serve(
        "scales.ipynb", params, name="scales", on="docker", image=TAG, options=options, timeout=120, **more
    )


def container(endpoint: Endpoint) -> str:
    return f"nbstep-{endpoint.handle.removeprefix('docker://')}"


def test_it_answers_is_found_again_and_is_removed_whole(docker: Docker, work: Path) -> None:
    endpoint = serve()
    assert endpoint.url.startswith("http://127.0.0.1:")
    assert endpoint.predict(x=2) == {"y": 4.0}
    with pytest.raises(BadInputError, match="the input 'x' is missing"):
        endpoint.predict()

    found = nbstep.find("scales")
    assert isinstance(found, Endpoint)
    status = found.status()
    assert (status.state, status.url) == (RunState.RUNNING, endpoint.url)
    assert "asked 2.0" in [line.message for line in found.lines()]
    assert serve().url == endpoint.url, "nothing has changed: it is the same one"
    with pytest.raises(OutputConflictError, match="serves another revision"):
        serve({"factor": 3.0})
    host = docker.inspect(container(endpoint))["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["RestartPolicy"]["Name"]) == (True, ["ALL"], "unless-stopped")

    found.delete()
    assert docker.call("ps", "--all", "--quiet", "--filter=label=nbstep/endpoint").stdout == ""
    assert [path for path in (work / "nbstep-runs").rglob("*") if path.is_file()] == []


@pytest.mark.fault(63)
def test_one_that_dies_starts_again_with_a_claim_log_and_record_of_its_own(work: Path) -> None:
    endpoint = serve()
    first = endpoint.status().record
    with pytest.raises(nbstep.errors.EndpointUnavailableError):
        endpoint.predict(x=-1)
    assert processes.until(lambda: len(list((work / "nbstep-runs" / "scales").glob("*/output.result.json"))) == 2, 60)
    endpoint.wait(120)
    second = endpoint.status().record
    assert first is not None
    assert second is not None
    assert first.output_uri != second.output_uri
    assert endpoint.predict(x=2) == {"y": 4.0}


def test_a_request_under_way_is_answered_before_it_ends(docker: Docker) -> None:
    endpoint = serve()
    url, answers = endpoint.url, list[httpx.Response]()

    def ask() -> None:
        answers.append(httpx.post(f"{url}/predict", json={"x": 5, "seconds": 3}, timeout=60, trust_env=False))

    asking = threading.Thread(target=ask)
    asking.start()
    assert processes.until(lambda: "asked 5.0" in docker.call("logs", container(endpoint)).stdout, 60)
    docker.call("stop", container(endpoint))
    asking.join()
    assert [answer.json() for answer in answers] == [{"y": 10.0}]
    status = endpoint.status()
    assert (status.state, status.url) == (RunState.CANCELLED, "")
    assert serve().predict(x=1) == {"y": 2.0}, "one that has ended is started anew"


@pytest.mark.fault(63)
def test_what_can_only_fail_again_is_said_though_the_daemon_goes_on_trying(work: Path) -> None:
    with pytest.raises(CellFailedError, match="FileNotFoundError: no model"):
        serve({"model": str(work / "nbstep-runs" / "scales" / "model")})
    failed = nbstep.find("scales")
    assert isinstance(failed, Endpoint)
    status = failed.status()
    assert (status.state, status.url) == (RunState.FAILED, "")
    assert "no model" in status.words

    (work / "nbstep-runs" / "scales" / "model").touch()
    mended = serve({"model": str(work / "nbstep-runs" / "scales" / "model")})
    assert mended.predict(x=1) == {"y": 2.0}


def test_on_the_machines_own_network_it_answers_to_this_machine_alone(docker: Docker) -> None:
    endpoint = serve(network="host")
    assert endpoint.predict(x=2) == {"y": 4.0}
    other = httpx.get(f"{endpoint.url}/v2", headers={"Host": "elsewhere.example"}, trust_env=False)
    assert other.status_code == 400
    assert docker.inspect(container(endpoint))["HostConfig"]["PortBindings"] in (None, {})


def test_without_a_network_nothing_could_ask_it(work: Path) -> None:
    with pytest.raises(UsageError, match="without a network cannot be asked"):
        serve(network="none")
    assert not (work / "nbstep-runs").exists()
