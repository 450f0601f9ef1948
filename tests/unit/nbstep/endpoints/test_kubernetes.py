"""An endpoint in a cluster, as data: what is sent, how it stands, where it is reached."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbstep.backends.protocol import Phase
from nbstep.endpoints import api
from nbstep.endpoints.kubernetes.host import address_of, address_problems
from nbstep.endpoints.kubernetes.manifest import manifests
from nbstep.endpoints.kubernetes.state import status_of
from nbstep.endpoints.plan import Deployment
from nbstep.profiles import load_profile
from nbstep.profiles.exposure import Exposure
from nbstep.submission.request import Request
from nbstep_runner.contract import ParameterSource
from nbstep_runner.errors import UsageError
from support import notebooks
from support.manifests import known_to_kubernetes, violations

DATA = Path(__file__).parent / "manifests"
PROFILE = {"on": "kubernetes", "image": "example.org/serving:1", "runs": "gs://bucket/runs"}


def planned(folder: Path, params: dict[str, Any] | None = None, **exposure: Any) -> Deployment:
    cells: list[str | notebooks.Code] = [notebooks.Code("model: str = ''", tags=("parameters",)), "pass"]
    request = Request(
        notebook=str(notebooks.write(folder / "predict.ipynb", cells)),
        profile=load_profile(None, PROFILE),
        sources=(ParameterSource.values(params or {}),),
    )
    return api.planned(request, "prices", {}, Exposure(**exposure))


def test_what_is_sent_is_this(tmp_path: Path) -> None:
    deployment = planned(tmp_path, {"model": "gs://bucket/model"}, service="LoadBalancer", replicas=2)
    sent = yaml.safe_dump_all(manifests(deployment, "team"), sort_keys=False, width=1000)
    assert sent.replace(deployment.revision, "REVISION") == (DATA / "endpoint.yaml").read_text()


def test_it_is_restricted_and_known_to_kubernetes(tmp_path: Path) -> None:
    kinds = {"Service": "V1Service", "PodDisruptionBudget": "V1PodDisruptionBudget", "Deployment": "V1Deployment"}
    for manifest in manifests(planned(tmp_path), "team"):
        assert known_to_kubernetes(manifest, kinds[manifest["kind"]]) == manifest
        if manifest["kind"] == "Deployment":
            assert violations({"volumes": [], **manifest["spec"]["template"]["spec"]}) == []


def test_a_revision_is_what_is_served(tmp_path: Path) -> None:
    first, again = planned(tmp_path, {"model": "a"}), planned(tmp_path, {"model": "a"})
    other = planned(tmp_path, {"model": "b"})
    assert first.revision == again.revision != other.revision
    assert first.uploads == again.uploads
    folder = f"gs://bucket/runs/prices/revision-{first.revision}"
    assert [uri for uri, _ in first.uploads] == [
        f"{folder}/{name}" for name in ("input.ipynb", "params.yaml", "serving.json")
    ]
    spec = first.submission.spec
    assert (spec.input_uri, spec.output_uri) == (f"{folder}/input.ipynb", "gs://bucket/runs/prices/output.ipynb")
    assert "serving>=0.2" in spec.needs, "a runner that cannot serve refuses it"


def test_a_name_leaves_room_for_a_pods_ending(tmp_path: Path) -> None:
    request = Request(notebook=str(notebooks.write(tmp_path / "x.ipynb", ["1"])), profile=load_profile(None, PROFILE))
    with pytest.raises(UsageError, match="too long"):
        api.planned(request, "x" * 41, {}, Exposure())


def deployment(**status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 2, **status}}


def pod(
    *, ready: bool = False, ended: dict[str, Any] | None = None, waiting: dict[str, Any] | None = None
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "nbstep", "ready": ready, "state": {"waiting": waiting} if waiting else {}}
    if ended:
        container["lastState"] = {"terminated": ended}
    return {
        "metadata": {"name": "prices-1"},
        "spec": {"containers": [{"name": "nbstep", "image": "i:1"}]},
        "status": {"containerStatuses": [container]},
    }


AVAILABLE = {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
FAILED = {"exitCode": 10, "message": '{"error": {"message": "cell 3 raised FileNotFoundError: no model"}}'}


@pytest.mark.parametrize(
    ("seen", "pods", "older", "phase", "words"),
    [
        (deployment(**AVAILABLE), [pod(ready=True)], 0, Phase.RUNNING, "1 of 1 pods answer"),
        (deployment(**AVAILABLE), [pod(ready=True)], 1, Phase.PENDING, "the pods before answer what is under way"),
        (deployment(**AVAILABLE | {"observedGeneration": 1}), [], 0, Phase.PENDING, "0 of 1 pods"),
        (deployment(availableReplicas=1), [pod()], 1, Phase.PENDING, "0 of 1 pods"),
        (deployment(**AVAILABLE | {"replicas": 2}), [pod(ended=FAILED)], 1, Phase.ENDED, "no model"),
        (deployment(), [pod(ended=FAILED)], 0, Phase.ENDED, "cell 3 raised FileNotFoundError: no model"),
        (deployment(), [pod(ended=FAILED), pod(ready=True)], 0, Phase.PENDING, "1 of 1 pods"),
        (deployment(), [pod(ended={"exitCode": 75, "message": "away"})], 0, Phase.PENDING, "0 of 1 pods"),
        (deployment(), [pod(ended={"exitCode": 137, "reason": "OOMKilled"})], 0, Phase.ENDED, "killed for memory"),
        (
            deployment(),
            [pod(waiting={"reason": "ErrImagePull", "message": "no such tag"})],
            0,
            Phase.PENDING,
            "the image i:1 cannot be pulled: no such tag",
        ),
    ],
)
def test_how_it_stands(seen: dict[str, Any], pods: list[Any], older: int, phase: Phase, words: str) -> None:
    status = status_of(seen, pods, older=older)
    assert status.phase is phase
    assert words in status.words


def service(kind: str, *, age: float = 0.0, **status: Any) -> dict[str, Any]:
    created = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="seconds")
    return {
        "metadata": {"name": "prices", "namespace": "team", "creationTimestamp": created},
        "spec": {"type": kind, "ports": [{"port": 80, "nodePort": 30123}]},
        "status": {"loadBalancer": status},
    }


NODES = [
    {"type": "Hostname", "address": "node-1"},
    {"type": "InternalIP", "address": "10.0.0.1"},
    {"type": "InternalIP", "address": "10.0.0.2"},
]
INSIDE = "http://prices.team.svc"


@pytest.mark.parametrize(
    ("found", "nodes", "url"),
    [
        (service("ClusterIP"), NODES, INSIDE),
        (service("NodePort"), NODES, "http://10.0.0.1:30123"),
        (service("NodePort"), [*NODES, {"type": "ExternalIP", "address": "2001:db8::1"}], "http://[2001:db8::1]:30123"),
        (service("NodePort"), [], INSIDE),
        (service("LoadBalancer", age=-3600), NODES, ""),  # however long after this line the test runs
        (service("LoadBalancer", ingress=[{"ip": "203.0.113.9"}]), NODES, "http://203.0.113.9"),
        (service("LoadBalancer", ingress=[{"hostname": "lb.example.org"}]), NODES, "http://lb.example.org"),
        (service("LoadBalancer", age=121), NODES, INSIDE),
    ],
)
def test_where_it_is_reached(found: dict[str, Any], nodes: list[Any], url: str) -> None:
    assert address_of(found, lambda: nodes, datetime.now(UTC)) == url


def test_a_load_balancer_without_an_address_is_said() -> None:
    assert address_problems(service("LoadBalancer"), datetime.now(UTC)) == ()
    assert address_problems(service("LoadBalancer", age=121, ingress=[{"ip": "203.0.113.9"}]), datetime.now(UTC)) == ()
    (problem,) = address_problems(service("LoadBalancer", age=121), datetime.now(UTC))
    assert "no address" in problem
