"""A team's server before a real API server: who has a token there, and may handle Jobs there, does so here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nbstep.backends.kubernetes.api.cluster import cluster as connection
from nbstep.backends.kubernetes.backend import KubernetesBackend
from nbstep.backends.kubernetes.text import as_yaml
from nbstep.backends.protocol import Phase
from nbstep.endpoints.endpoint import Placed
from nbstep.endpoints.kubernetes.host import KubernetesHost
from nbstep.errors import ClusterDeniedError
from nbstep.server.config_file import config_of
from nbstep.server.following import Streams
from nbstep.server.team.manifest import manifests_of
from nbstep.server.team.service import team
from nbstep_runner.contract import encode
from servers.cluster import Api, Launcher, wait_for_service_account
from support import notebooks
from support.manifests import TEXTS
from support.processes import until
from support.service import Service, events

if TYPE_CHECKING:
    import httpx

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

AUDIENCE = "nbstep"


@pytest.fixture
def foreign(cluster: Api) -> Iterator[Api]:
    """A namespace of somebody else's."""
    api = Api(cluster.kubeconfig, f"{cluster.namespace}-{secrets.token_hex(2)}")
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace}})
    try:
        wait_for_service_account(api)
        yield api
    finally:
        api("delete", "namespace", api.namespace, "--wait=false", check=False)


def account(api: Api, name: str, *verbs: str) -> str:
    """A token of a new service account that may do this with the Jobs of its namespace."""
    api("create", "serviceaccount", name)
    if verbs:
        api("create", "role", name, f"--verb={','.join(verbs)}", "--resource=jobs.batch")
        api("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={api.namespace}:{name}")
    return api("create", "token", name, f"--audience={AUDIENCE}").strip()


@dataclass
class Team:
    """Two servers of one configuration, and a notebook."""

    document: dict[str, Any]
    notebook: str

    def __post_init__(self) -> None:
        config = config_of(self.document, where="the test")
        self.replicas = [Service(team(config, Streams(10))) for _ in range(2)]

    def ask(self, token: str, method: str, path: str, replica: int = 0, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} | request.pop("headers", {})
        return self.replicas[replica].request(method, path, headers=headers, **request)

    def submit(self, token: str, key: str, replica: int = 0) -> httpx.Response:
        asked = {"notebook": self.notebook, "parameters": {"n": 7}, "overrides": {"retries": 1}}
        return self.ask(token, "POST", "/v1/runs", replica, json=asked, headers={"idempotency-key": key})


@pytest.fixture
def asked(launcher: Launcher, tmp_path: Path) -> Team:
    cells: list[str | notebooks.Code] = [notebooks.Code("n: int = 1", tags=("parameters",)), "print('n is', n)"]
    options = launcher.options()
    profile = {
        "on": "kubernetes",
        "image": launcher.image,
        "env": launcher.environment(),
        "resources": {"cpu": "50m", "memory": "400Mi"},
        "kubernetes": {name: value for name, value in options["kubernetes"].items() if name != "namespace"},
        "open": ["retries"],
    }
    folder = {"namespace": launcher.cluster.namespace, "profiles": ["small"], "storage": options["storage"]}
    document = {
        "folders": {"team": {"uri": f"{launcher.bucket.runs}/{secrets.token_hex(4)}", **folder}},
        "notebooks": [str(tmp_path)],
        "profiles": {"small": profile},
        "access": {"kubernetes": {"audiences": [AUDIENCE], "cache_seconds": 0}},
    }
    return Team(document, str(notebooks.write(tmp_path / "train.ipynb", cells)))


@pytest.mark.slow
@pytest.mark.fault(62)
def test_whoever_may_create_jobs_submits_and_nobody_of_elsewhere_reads(
    asked: Team, launcher: Launcher, foreign: Api
) -> None:
    cluster = launcher.cluster
    submitter = account(cluster, "submitter", "create", "get")
    viewer = account(cluster, "viewer", "get")
    stranger = account(foreign, "stranger", "create", "get", "list", "delete")
    started = asked.submit(submitter, "once")
    assert started.status_code == 202, started.text
    replayed = asked.submit(submitter, "once", replica=1)
    assert (replayed.status_code, replayed.json()) == (202, started.json())
    jobs = cluster.get("jobs")["items"]
    assert [job["metadata"]["name"] for job in jobs] == [started.json()["id"]]
    assert jobs[0]["spec"]["backoffLimit"] == 1

    place = started.headers["location"]
    assert asked.submit(viewer, "own").json()["detail"] == "you may not submit in team"
    assert asked.ask(viewer, "POST", place.replace("?", "/cancel?")).status_code == 403
    assert asked.submit(stranger, "once").status_code == 404
    for path in (
        place,
        "/v1/runs?folder=team",
        place.replace("?", "/events?"),
        f"/runs{place.removeprefix('/v1/runs')}",
    ):
        for replica in (0, 1):
            answer = asked.ask(stranger, "GET", path, replica)
            assert (answer.status_code, answer.json()["detail"]) == (404, "there is no folder 'team'")
    assert asked.ask(stranger, "GET", "/v1/runs").json()["detail"] == "there is no folder that you may look into"
    for token in (cluster("create", "token", "submitter").strip(), f"{submitter[:-4]}AAAA", "made-up"):
        assert asked.ask(token, "GET", "/v1/runs").status_code == 401

    heard = asked.ask(viewer, "GET", place.replace("?", "/events?"), 1).text  # until the run has ended
    assert list(events(heard.split("\n")))[-1].data["state"] == "succeeded"
    told = asked.ask(viewer, "GET", place, 1).json()
    who = f"system:serviceaccount:{cluster.namespace}:submitter"
    assert (told["state"], told["labels"]["nbstep/submitted-by"]) == ("succeeded", who)
    assert "n is 7" in asked.ask(viewer, "GET", place.replace("?", "/objects/output.ipynb?")).text

    swept = {"notebook": asked.notebook, "name": "sizes", "grid": {"n": [1, 2]}, "jobs": 1}
    assert asked.ask(viewer, "POST", "/v1/sweeps", json=swept).status_code == 403
    sweep = asked.ask(submitter, "POST", "/v1/sweeps", json=swept)
    assert sweep.status_code == 202, sweep.text
    assert asked.ask(stranger, "GET", sweep.headers["location"]).status_code == 404

    def look() -> dict[str, Any]:
        return dict(asked.ask(viewer, "GET", sweep.headers["location"], 1).json())

    assert until(lambda: look()["standing"]["state"] not in ("pending", "running"), 240), look()
    last = look()
    assert last["standing"]["state"] == "succeeded", last
    assert [(each["name"], each["ended"], each["state"]) for each in last["sets"]] == [
        ("n=1", True, "succeeded"),
        ("n=2", True, "succeeded"),
    ]

    cluster("delete", "rolebinding", "viewer")
    assert asked.ask(viewer, "GET", place).status_code == 404


def test_the_cluster_takes_what_the_manifest_says(cluster: Api, foreign: Api, tmp_path: Path) -> None:
    """All of it, without a warning, where pods have to be as *restricted* wants them."""
    config = {
        "folders": {"team": {"uri": "s3://bucket/runs", "namespace": foreign.namespace, "profiles": ["y"]}},
        "profiles": {"y": {"on": "kubernetes", "image": "run:1"}},
        "access": {"kubernetes": {}, "tokens": "/etc/nbstep/tokens/tokens.yaml"},
        "deployment": {
            "name": "runs",
            "namespace": cluster.namespace,
            "env": {"A": {"secret": "keys", "key": "y"}, "B": "1e3"},
            "env_from": ["more"],
            "clients": {"team": "on"},
        },
    }
    file = tmp_path / "server.yaml"
    file.write_text(yaml.safe_dump(config))
    text = manifests_of(file)
    (tmp_path / "all.yaml").write_text(text)
    apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--output", "name", "--filename")
    applied = Api(cluster.kubeconfig, "")(*apply, str(tmp_path / "all.yaml")).split()
    objects = list(yaml.safe_load_all(text))
    assert len(applied) == len(objects)
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    metadata = {"name": "runs", "namespace": cluster.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deployment["spec"]["template"]["spec"]}
    data = {f"k{number}": each for number, each in enumerate(TEXTS)}
    (tmp_path / "texts.yaml").write_text(
        as_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    )
    made = cluster("create", "--dry-run=server", "--output", "json", "--filename", str(tmp_path / "texts.yaml"))
    assert json.loads(made)["data"] == data
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    cluster("create", "--dry-run=server", "--filename", "-", data=pod)


@pytest.mark.fault(62)
def test_the_account_of_the_manifest_may_what_the_server_asks(
    cluster: Api, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its token and nothing else: Jobs and endpoints are looked at, callers are reviewed, Secrets are not read."""
    name = f"t{secrets.token_hex(3)}"
    config = {
        "folders": {"team": {"uri": str(tmp_path / "runs"), "namespace": cluster.namespace, "profiles": ["small"]}},
        "profiles": {"small": {"on": "kubernetes", "image": "run:1"}},
        "access": {"kubernetes": {"audiences": [AUDIENCE], "cache_seconds": 0}},
        "deployment": {"name": name, "namespace": cluster.namespace},
    }
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(config))
    roles = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    made = [each for each in yaml.safe_load_all(manifests_of(tmp_path / "server.yaml")) if each["kind"] in roles]
    everywhere = Api(cluster.kubeconfig, "")
    try:
        for each in made:
            everywhere.create(each)
        document = yaml.safe_load(kubeconfig.read_text())
        document["users"] = [{"name": name, "user": {"token": cluster("create", "token", name).strip()}}]
        document["contexts"][0]["context"]["user"] = name
        document["current-context"] = document["contexts"][0]["name"]
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        connection.cache_clear()
        handle = f"k8s://{document['current-context']}/{cluster.namespace}/model"
        placed = Placed(name="model", handle=handle, on="kubernetes", revision="0" * 10)
        (tmp_path / "runs/model").mkdir(parents=True)
        (tmp_path / "runs/model/endpoint.json").write_bytes(encode(placed))

        service = Service(team(config_of(config, where="the test"), Streams(1)))
        token = account(cluster, name + "-reader", "get")
        headers = {"authorization": f"Bearer {token}", "accept": "text/html"}
        page = service.get("/endpoints", headers=headers)
        assert (page.status_code, "the Deployment model is gone" in page.text) == (200, True), page.text
        host = KubernetesHost()
        assert host.url(handle, None) == ""
        gone = KubernetesBackend().statuses([handle])[handle]
        assert gone.phase is Phase.GONE
        KubernetesBackend().forget(handle)  # as before a sweep that has ended is started again
        with pytest.raises(ClusterDeniedError):
            connection(document["current-context"])._request("GET", f"/api/v1/namespaces/{cluster.namespace}/secrets")
    finally:
        connection.cache_clear()
        for each in made:
            if each["kind"].startswith("Cluster"):
                everywhere("delete", each["kind"], each["metadata"]["name"], "--wait=false", check=False)
