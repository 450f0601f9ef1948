"""Endpoints on a real cluster: ready only once they answer, rolled over without a lost request, removed whole."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import nbstep
from nbstep import Endpoint, Profile
from nbstep.endpoints.kubernetes import host
from nbstep_runner.contract import RunState, StorageOptions
from nbstep_runner.errors import BadInputError, CellFailedError
from servers.cluster import Launcher
from support import notebooks, processes

SCALED = """
import os, pathlib
from nbstep_runner import serve
if not model:
    raise FileNotFoundError("no model: " + repr(model))

def predict(x: float) -> dict[str, float]:
    return {"y": x * factor}

serve(predict, example={"x": 2.0})
"""
LOADS = """
import time
from nbstep_runner import serve
time.sleep(4)
loaded = time.time()

@serve
def predict() -> float:
    return loaded
"""
PARAMETERS = notebooks.Code("factor: float = 1.0\nmodel: str = 'here'", tags=("parameters",))

Serve = Callable[..., Endpoint]


@pytest.fixture
def serve(launcher: Launcher, tmp_path: Path) -> Iterator[Serve]:
    path = notebooks.write(tmp_path / "scaled.ipynb", [PARAMETERS, SCALED])
    names: list[str] = []

    def start(params: Mapping[str, Any], **more: Any) -> Endpoint:
        names.append(more.setdefault("name", "scaled"))
        options: dict[str, Any] = {
            "runs": launcher.bucket.runs,
            "on": "kubernetes",
            "image": launcher.image,
            "env": launcher.environment(),
            "resources": {"cpu": "50m", "memory": "400Mi"},
            "options": launcher.options(),
            "timeout": 240.0,
        }
        return nbstep.serve(more.pop("notebook", path), params, **options | more)

    yield start
    for kind in ("deployment", "service", "poddisruptionbudget"):
        launcher.cluster("delete", kind, "--all", "--wait=false", check=False)


def ask_until(stop: threading.Event, url: str, answers: list[Any]) -> None:
    """Requests on connections that are kept, as a client of a service makes them."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        while not stop.is_set():
            try:
                answers.append(client.post("/predict", json={"x": 2.0}).json())
            except httpx.HTTPError as error:
                answers.append(repr(error))
            time.sleep(0.01)


def is_led_to(url: str) -> bool:
    """Whether the cluster leads there yet: nodes hear of a new port some moments after its pod is ready."""
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=30, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.fault(63)
def test_it_answers_rolls_over_without_a_lost_request_and_is_removed_whole(serve: Serve, launcher: Launcher) -> None:
    endpoint = serve({"factor": 2.0}, service="NodePort")
    assert endpoint.predict(x=4.0) == {"y": 8.0}
    assert endpoint.status().state is RunState.RUNNING
    with pytest.raises(BadInputError, match="the input 'x' is missing"):
        endpoint.predict()

    stop, answers = threading.Event(), list[Any]()
    here = str(httpx.URL(endpoint.url).copy_with(host="127.0.0.1"))  # the test's cluster has its node ports there
    assert processes.until(lambda: is_led_to(here), 60)
    asking = [threading.Thread(target=ask_until, args=(stop, here, answers)) for _ in range(3)]
    for each in asking:
        each.start()
    try:
        after = serve({"factor": 3.0}, service="NodePort")
    finally:
        stop.set()
        for each in asking:
            each.join()
    assert {str(each) for each in answers} == {"{'y': 4.0}", "{'y': 6.0}"}
    assert answers[-1] == {"y": 6.0}
    assert after.predict(x=1.0) == {"y": 3.0}

    with pytest.raises(CellFailedError, match="FileNotFoundError: no model"):
        serve({"factor": 3.0, "model": ""}, service="NodePort")
    profile = Profile(storage=StorageOptions(endpoint_url=launcher.bucket.endpoint))
    failed = nbstep.find("scaled", runs=launcher.bucket.runs, profile=profile)
    assert isinstance(failed, Endpoint)
    assert failed.status().state is RunState.FAILED
    assert failed.predict(x=1.0) == {"y": 3.0}, "the revision before goes on answering"

    failed.delete()
    for kind in ("deployments", "services", "poddisruptionbudgets", "pods"):
        selector = "nbstep/endpoint=scaled"
        assert launcher.cluster.get(kind, "--selector", selector)["items"] == []
    left = launcher.bucket.server.client().list_objects_v2(Bucket="runs", Prefix="k8s/scaled")
    assert left["KeyCount"] == 0


def test_a_load_balancers_address_is_its_url_and_where_none_comes_that_is_said(
    serve: Serve, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ADDRESS_SECONDS", 0.0)
    endpoint = serve({"factor": 2.0}, name="balanced", service="LoadBalancer", port=8000)
    assert endpoint.url == f"http://balanced.{launcher.cluster.namespace}.svc:8000"
    (problem,) = endpoint.status().problems
    assert "gives the load balancer no address" in problem

    monkeypatch.undo()
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}
    patch = ("--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    launcher.cluster("patch", "service", "balanced", *patch)
    found = endpoint.status()
    assert (found.url, found.problems, found.state) == ("http://203.0.113.7:8000", (), RunState.RUNNING)
    assert endpoint.predict(x=4.0) == {"y": 8.0}


@pytest.mark.fault(63)
def test_a_pod_that_is_killed_is_followed_by_a_run_of_its_own(serve: Serve, launcher: Launcher) -> None:
    endpoint = serve({"factor": 2.0}, name="killed")
    before = output_of(endpoint)
    launcher.cluster("delete", "pods", "--selector=nbstep/endpoint=killed", "--grace-period=0", "--force")
    deadline = time.monotonic() + 120
    while output_of(endpoint) == before:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    endpoint.wait(240)
    assert endpoint.predict(x=4.0) == {"y": 8.0}
    assert output_of(endpoint) != before


def output_of(endpoint: Endpoint) -> str:
    """The executed notebook of its newest start."""
    record = endpoint.status().record
    assert record is not None
    return record.output_uri


def test_a_pod_is_ready_only_once_its_model_is_loaded(serve: Serve, launcher: Launcher, tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "loads.ipynb", [LOADS])
    endpoint = serve({}, name="loads", notebook=notebook)
    (pod,) = launcher.cluster.get("pods", "--selector", "nbstep/endpoint=loads")["items"]
    (ready,) = [each for each in pod["status"]["conditions"] if each["type"] == "Ready"]
    became_ready = datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()  # of whole seconds
    assert ready["status"] == "True"
    assert became_ready + 1 > endpoint.predict()
