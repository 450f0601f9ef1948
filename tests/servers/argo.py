"""A step on a real Argo, in the workflow that KFP's API server makes of it; driver and launcher are the tests' own."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbstep import find
from nbstep.backends.kubernetes.api.contexts import context_named
from nbstep.profiles import Profile, load_profile
from nbstep.steps import NotebookStep, endpoint_step, notebook_step
from nbstep.steps.component import component_ir
from nbstep_runner.contract import StorageOptions
from servers import image
from servers.cluster import SECRET, Api, Bucket
from support import kfp_engine, notebooks
from support.needs import missing

POLL_SECONDS = 0.3
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "OnError": {"retryStrategy": {"limit": "2", "retryPolicy": "OnError"}},
    "OnFailure": {},
}
"""What a controller does by itself: as 2.17 is installed, and as Argo does where nothing is said."""
PLACES = ("gcs", "s3", "minio")


@dataclass(frozen=True)
class Workflow:
    """A workflow that was submitted."""

    api: Api
    name: str

    def get(self) -> dict[str, Any]:
        return self.api.get("workflow", self.name)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.get().get("status", {}))

    def attempts(self) -> list[dict[str, Any]]:
        """The nodes of the step's own pods, in the order of their starts."""
        nodes = self.status.get("nodes", {}).values()
        found = [node for node in nodes if node["type"] == "Pod" and node["displayName"].startswith("executor")]
        return sorted(found, key=lambda node: str(node.get("startedAt")))

    def pods(self) -> list[str]:
        """The names of the step's pods, newest last."""
        selector = f"workflows.argoproj.io/workflow={self.name},part=executor"
        items = self.api.get("pods", "--selector", selector)["items"]
        return [pod["metadata"]["name"] for pod in sorted(items, key=lambda pod: pod["metadata"]["creationTimestamp"])]

    def until(self, what: Callable[[], Any], seconds: float = 120.0) -> Any:
        """What comes of asking again and again until it is true."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, self.seen()
            time.sleep(POLL_SECONDS)
        return found

    def seen(self) -> str:
        """What Argo thinks of each pod, and what each pod does: who waits for whom, where a test waits for both."""
        nodes = [
            f"argo: {node['displayName']} {node['phase']} {node.get('message', '')!r}"
            for node in self.status.get("nodes", {}).values()
        ]
        return "\n".join([f"workflow: {self.status.get('phase')}", *nodes, *map(self._seen_pod, self.pods())])

    def _seen_pod(self, name: str) -> str:
        pod = self.api.get("pod", name)
        meta, status = pod["metadata"], pod["status"]
        containers = {each["name"]: each["state"] for each in status.get("containerStatuses", [])}
        gone = (
            f"deleted {meta['deletionTimestamp']}, held by {meta.get('finalizers')}; "
            if "deletionTimestamp" in meta
            else ""
        )
        return f"pod {name}: {gone}{status['phase']} {json.dumps(containers)}\n{self.log(name)[-3000:]}"

    def ended(self, seconds: float = 300.0) -> str:
        """The phase that the workflow ends in."""
        final = {"Succeeded", "Failed", "Error"}
        return str(self.until(lambda: found if (found := self.status.get("phase")) in final else "", seconds))

    def log(self, pod: str) -> str:
        return self.api("logs", pod, "--container", "main", check=False)


@dataclass(frozen=True)
class Argo:
    """Runs steps as Kubeflow Pipelines would."""

    api: Api
    bucket: Bucket
    image: str
    folder: Path
    runs: str

    def step(self, cells: list[Any], **options: Any) -> NotebookStep:
        path = notebooks.write(self.folder / "work.ipynb", cells)
        storage = StorageOptions(endpoint_url=self.bucket.endpoint, retry_seconds=20.0)
        profile = Profile(storage=storage, retries=0)
        usual: dict[str, Any] = {"image": self.image, "html": False, "runs": self.runs, "profile": profile}
        return notebook_step(path, **usual | options)

    def endpoint_step(self, name: str, cells: list[Any]) -> tuple[NotebookStep, Profile]:
        """A step that starts an endpoint in the test's namespace, and where it runs."""
        keys = self.bucket.server.environment()
        context, _ = context_named(None)
        profile = load_profile(
            None,
            {
                "on": "kubernetes",
                "runs": self.runs,
                "image": self.image,
                "env": {key: {"secret": SECRET, "key": key} for key in keys},
                "resources": {"cpu": "50m", "memory": "400Mi"},
                "storage": {"endpoint_url": self.bucket.endpoint, "retry_seconds": 20.0},
                "kubernetes": {
                    "context": context,
                    "namespace": self.api.namespace,
                    "pull_policy": "Never",
                    "run_as_user": image.USER,
                },
            },
        )
        path = notebooks.write(self.folder / "served.ipynb", cells)
        return endpoint_step(path, name=name, profile=profile), profile

    def submit(
        self, step: NotebookStep, values: Mapping[str, Any] | None = None, *, policy: str = "OnError", retries: int = 0
    ) -> Workflow:
        """The step as a workflow, under one of :data:`POLICIES`; ``retries`` are those that its task asks for."""
        ir = component_ir(step)
        component = ir["components"][f"comp-{step.name}"]
        container = ir["deploymentSpec"]["executors"][f"exec-{step.name}"]["container"]
        name = f"step-{secrets.token_hex(4)}"
        told = {"component": component, "container": container, "values": dict(values or {})}
        arguments = {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
        self.api.create(manifest(name, arguments, self.image, policy=policy, retries=retries))
        return Workflow(self.api, name)

    def records(self) -> list[dict[str, Any]]:
        """The records of all runs below this test's folder."""
        client, (bucket, _, prefix) = self.bucket.server.client(), self.runs.removeprefix("s3://").partition("/")
        found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        keys = [one["Key"] for one in found if one["Key"].endswith(".result.json")]
        return [json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]

    def objects(self) -> set[str]:
        """The names of the objects beside the records, without their folders."""
        client, (bucket, _, prefix) = self.bucket.server.client(), self.runs.removeprefix("s3://").partition("/")
        found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {one["Key"].rpartition("/")[2] for one in found if "/.notebooks/" not in one["Key"]}


def settled(argo: Argo, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The state of the only run once somebody has looked at it; ``None`` if it never began."""
    found = argo.records()
    if not found:
        return None
    (record,) = found
    if record["exit_code"] is None:
        for name, value in argo.bucket.server.environment(argo.bucket.endpoint).items():
            monkeypatch.setenv(name, value)
        profile = Profile(storage=StorageOptions(endpoint_url=argo.bucket.endpoint))
        return str(find(record["run_id"], runs=argo.runs, profile=profile).wait(120, check=False).state)
    if record["state"] == "cancelled" and record["cells"]:
        assert "output.ipynb" in argo.objects() or record["output_version"] is None
    return str(record["state"])


def manifest(name: str, arguments: Mapping[str, str], runner: str, *, policy: str, retries: int) -> dict[str, Any]:
    """A workflow in the shape that KFP 2.17 gives it, of one step."""
    templates = [
        _driver(runner),
        _executor(),
        _implementation(runner, retries),
        {
            "name": "root",
            "dag": {
                "tasks": [
                    _task("work-driver", "driver", {key: f"{{{{workflow.parameters.{key}}}}}" for key in arguments}),
                    _task(
                        "work",
                        "executor",
                        {"pod-spec-patch": "{{tasks.work-driver.outputs.parameters.pod-spec-patch}}"},
                        depends="work-driver.Succeeded",
                    ),
                ]
            },
        },
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "root",
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in arguments.items()]},
            "templateDefaults": POLICIES[policy],
            "templates": templates,
        },
    }


def _task(name: str, template: str, parameters: Mapping[str, str], **more: Any) -> dict[str, Any]:
    given = [{"name": key, "value": value} for key, value in parameters.items()]
    return {"name": name, "template": template, "arguments": {"parameters": given}} | more


def _container(runner: str, **more: Any) -> dict[str, Any]:
    return {
        "image": runner,
        "imagePullPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": image.USER,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "engine", "mountPath": "/kfp"}],
        "env": [{"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    } | more


VOLUMES = [{"name": "engine", "configMap": {"name": "kfp-engine"}}]


def _driver(runner: str) -> dict[str, Any]:
    given = [f"{{{{inputs.parameters.{key}}}}}" for key in ("component", "container", "values")]
    place = ["/minio/bucket/pipeline/{{workflow.uid}}/work", "{{outputs.parameters.pod-spec-patch.path}}"]
    return {
        "name": "driver",
        "inputs": {"parameters": [{"name": key} for key in ("component", "container", "values")]},
        "container": _container(runner, command=["python3", "/kfp/kfp_engine.py", "drive"], args=[*given, *place]),
        "outputs": {"parameters": [{"name": "pod-spec-patch", "valueFrom": {"path": "/tmp/outputs/pod-spec-patch"}}]},  # noqa: S108 - KFP's own place
        "volumes": VOLUMES,
    }


def _executor() -> dict[str, Any]:
    task = _task("executor", "implementation", {"pod-spec-patch": "{{inputs.parameters.pod-spec-patch}}"})
    return {"name": "executor", "inputs": {"parameters": [{"name": "pod-spec-patch"}]}, "dag": {"tasks": [task]}}


def _implementation(runner: str, retries: int) -> dict[str, Any]:
    main = _container(runner, command=["should-be-overridden"], envFrom=[{"secretRef": {"name": SECRET}}])
    main["env"].append({"name": "KFP_RETRY_INDEX", "value": "{{retries}}"})
    main["volumeMounts"] += [{"name": f"{place}-scratch", "mountPath": f"/{place}"} for place in PLACES]
    main["resources"] = {"requests": {"cpu": "50m", "memory": "200Mi"}}
    template = {
        "name": "implementation",
        "metadata": {"labels": {"part": "executor"}},
        "inputs": {"parameters": [{"name": "pod-spec-patch"}]},
        "podSpecPatch": "{{inputs.parameters.pod-spec-patch}}",
        "container": main,
        "volumes": [*VOLUMES, *({"name": f"{place}-scratch", "emptyDir": {}} for place in PLACES)],
    }
    if retries:
        template["retryStrategy"] = {"limit": str(retries)}
    return template


@pytest.fixture(scope="session")
def argo_namespace(cluster: Api) -> Api:
    if "workflows.argoproj.io" not in cluster("get", "crd", "--output", "name"):
        missing("argo", "the cluster has no Argo: testcluster argo")
    account = f"--serviceaccount={cluster.namespace}:default"
    cluster("create", "rolebinding", "argo-executor", "--clusterrole=argo-executor", account)
    cluster("create", "rolebinding", "steps-that-serve", "--clusterrole=edit", account)
    source = Path(kfp_engine.__file__).read_text()
    data = {"metadata": {"name": "kfp-engine"}, "data": {"kfp_engine.py": source}}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap"} | data)
    return cluster


@pytest.fixture
def argo(
    argo_namespace: Api,
    bucket: Bucket,
    runner_image: str,
    tmp_path: Path,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Argo]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    yield Argo(argo_namespace, bucket, runner_image, tmp_path, f"s3://runs/argo-{secrets.token_hex(4)}")
    argo_namespace("delete", "workflows", "--all", "--wait=false", check=False)
