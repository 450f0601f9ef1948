"""A cluster, an image in it, a bucket that its pods reach, and a namespace of the tests' own."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbstep import Run, submit, sweep
from nbstep.backends.kubernetes.api.cluster import cluster as connection
from servers import api_proxy, image, relay, s3, versitygw
from support import notebooks
from support.needs import missing

TESTCLUSTER = Path(os.environ.get("TESTCLUSTER_HOME", "/var/tmp/testcluster"))  # noqa: S108 - where the cluster is
IMAGE_VARIABLE = "NBSTEP_TEST_IMAGE"


@dataclass(frozen=True)
class Api:
    """The cluster, as ``kubectl`` in the tests' own hands."""

    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str, data: Any = None, check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments],
            input=json.dumps(data) if data is not None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self("get", *arguments, "--output", "json")))

    def create(self, manifest: Mapping[str, Any]) -> None:
        self("create", "--filename", "-", data=manifest)

    def make_volume(self, name: str, storage_class: str, folder: Path) -> None:
        """A volume for a claim to take, which is a folder of this machine, the cluster's only node."""
        folder.mkdir()
        for path in (folder, *list(folder.parents)[:3]):
            path.chmod(0o777)
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(folder)},
            "storageClassName": storage_class,
        }
        self.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})

    def pods(self, run: Run) -> list[dict[str, Any]]:
        items = self.get("pods", "--selector", f"nbstep/run-id={run.id}")["items"]
        return sorted(items, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    path = Path(os.environ.get("KUBECONFIG") or "/nonexistent")
    if not path.is_file():
        missing("kubernetes", "KUBECONFIG names no cluster")
    if shutil.which("kubectl", path=f"{os.environ['PATH']}:{TESTCLUSTER / 'bin'}") is None:
        missing("kubernetes", "kubectl is not installed")
    os.environ["PATH"] += f":{TESTCLUSTER / 'bin'}"
    return path


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Iterator[Api]:
    """A namespace of the tests' own, in which the cluster refuses every pod that is not as *restricted* wants it."""
    api = Api(kubeconfig, f"nbstep-test-{secrets.token_hex(4)}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace, "labels": labels}})
    try:
        wait_for_service_account(api)
        yield api
    finally:
        api("delete", "namespace", api.namespace, "--wait=false", check=False)


@pytest.fixture(scope="session")
def kueue(cluster: Api) -> Iterator[str]:
    """A queue of Kueue that admits one run of 60m of CPU at a time; its priority classes are ``low`` and ``high``."""
    if "clusterqueues.kueue.x-k8s.io" not in cluster("get", "crd", "--output", "name"):
        missing("kueue", "the cluster has no Kueue: testcluster kueue")
    name, api = cluster.namespace, "kueue.x-k8s.io/v1beta2"
    quotas = [{"name": "cpu", "nominalQuota": "100m"}, {"name": "memory", "nominalQuota": "4Gi"}]
    flavors = [{"name": name, "resources": quotas}]
    spec = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": ["cpu", "memory"], "flavors": flavors}],
    }
    cluster.create({"apiVersion": api, "kind": "ResourceFlavor", "metadata": {"name": name}})
    cluster.create({"apiVersion": api, "kind": "ClusterQueue", "metadata": {"name": name}, "spec": spec})
    queue = {"apiVersion": api, "kind": "LocalQueue", "metadata": {"name": "tests"}, "spec": {"clusterQueue": name}}
    cluster.create(queue)
    yield "tests"
    for kind in ("clusterqueue", "resourceflavor"):
        cluster("delete", kind, name, "--wait=false", check=False)


def wait_for_service_account(api: Api) -> None:
    for _ in range(100):
        if "default" in api("get", "serviceaccounts", "--output", "name"):
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise TimeoutError


@pytest.fixture(scope="session")
def runner_image(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that the cluster has: the one that the environment names, or one of this very environment."""
    del kubeconfig
    if named := os.environ.get(IMAGE_VARIABLE):
        return named
    socket = TESTCLUSTER / "containerd/containerd.sock"
    if not socket.exists():
        missing("kubernetes", f"{IMAGE_VARIABLE} names no image, and there is no containerd to load one into")
    tag = f"localhost/nbstep-test:{image.fingerprint()}"
    folder = Path(tempfile.gettempdir())
    with (folder / "nbstep-test-image.lock").open("w") as lock:  # two workers need one image, made once
        fcntl.flock(lock, fcntl.LOCK_EX)
        images: list[str] = ["ctr", "-a", str(socket), "-n", "k8s.io", "images"]
        if tag not in subprocess.run([*images, "ls", "-q"], check=True, capture_output=True, text=True).stdout.split():
            archive = tmp_path_factory.mktemp("image") / "image.tar"
            image.build(archive, tag, folder)
            subprocess.run([*images, "import", archive], check=True, capture_output=True)
            archive.unlink()
    return tag


@dataclass(frozen=True)
class Bucket:
    """A bucket that this machine and pods reach at the same address, and the Secret that opens it."""

    runs: str
    endpoint: str
    server: s3.S3Server | versitygw.GatewayServer


SECRET = "bucket-keys"  # noqa: S105 - its name


@contextmanager
def opened(cluster: Api, server: s3.S3Server | versitygw.GatewayServer, endpoint: str) -> Iterator[Bucket]:
    """A new bucket of a server, whose keys are in the environment and in the cluster meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        values = server.environment(endpoint)
        for name, value in values.items():
            patch.setenv(name, value)
        server.make_bucket("runs")
        keys = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": keys})
        yield Bucket("s3://runs/k8s", endpoint, server)


@pytest.fixture(scope="session")
def bucket(cluster: Api) -> Iterator[Bucket]:
    with (
        s3.running() as server,
        relay.relayed(server.port) as (host, port),
        opened(cluster, server, f"http://{host}:{port}") as made,
    ):
        yield made


@dataclass(frozen=True)
class Launcher:
    """``nbstep.submit`` with the test's cluster, image and bucket."""

    cluster: Api
    bucket: Bucket
    image: str
    folder: Path

    def options(self, **more: Any) -> dict[str, Any]:
        kubernetes = {"namespace": self.cluster.namespace, "pull_policy": "Never", "run_as_user": image.USER}
        if os.environ.get(IMAGE_VARIABLE):
            kubernetes["pull_policy"] = "IfNotPresent"
        return {
            "storage": {"endpoint_url": self.bucket.endpoint, "retry_seconds": 20.0},
            "kubernetes": kubernetes | more,
        }

    def environment(self) -> dict[str, Any]:
        names = self.bucket.server.environment()
        return {name: {"secret": SECRET, "key": name} for name in names}

    def submit(self, *sources: str, kubernetes: Mapping[str, Any] | None = None, **options: Any) -> Run:
        cells: list[str | notebooks.Code] = [notebooks.Code(sources[0], tags=("parameters",)), *sources[1:]]
        path = notebooks.write(self.folder / "notebook.ipynb", cells)
        return self.submit_file(path, kubernetes=kubernetes, **options)

    def sweep(self, *sources: str, kubernetes: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """``nbstep.sweep`` of a notebook with these cells, the first of which has its parameters."""
        cells: list[str | notebooks.Code] = [notebooks.Code(sources[0], tags=("parameters",)), *sources[1:]]
        path = notebooks.write(self.folder / "notebook.ipynb", cells)
        given = self.usual(kubernetes, options) | {"output": f"{self.bucket.runs}/{self.folder.name}"}
        return sweep(path, **{name: value for name, value in given.items() if name not in ("runs", "html")} | options)

    def submit_file(self, path: Path, kubernetes: Mapping[str, Any] | None = None, **options: Any) -> Run:
        return submit(path, **self.usual(kubernetes, options) | options)

    def usual(self, kubernetes: Mapping[str, Any] | None, options: dict[str, Any]) -> dict[str, Any]:
        """What every run on the cluster is given, with the further environment that the options name."""
        return {
            "runs": self.bucket.runs,
            "on": "kubernetes",
            "image": self.image,
            "env": self.environment() | options.pop("env", {}),
            "resources": {"cpu": "50m", "memory": "400Mi"},
            "retries": 0,
            "html": False,
            "options": self.options(**(kubernetes or {})),
        }


@pytest.fixture
def launcher(
    cluster: Api, bucket: Bucket, runner_image: str, tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Launcher]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    connection.cache_clear()
    yield Launcher(cluster, bucket, runner_image, tmp_path)
    cluster("delete", "jobs", "--all", "--wait=false", check=False)


@pytest.fixture
def faults(
    launcher: Launcher, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[api_proxy.Faults]:
    """The same cluster, through a way that can fail."""
    del launcher
    with api_proxy.running(kubeconfig, tmp_path) as (made, through):
        monkeypatch.setenv("KUBECONFIG", str(through))
        connection.cache_clear()
        yield made
        connection.cache_clear()
