"""Where a Job's data may lie: an SSH server with keys from a Secret, a volume claim; the example notebooks."""

from __future__ import annotations

import base64
import getpass
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import nbstep
from nbstep_runner.contract import RunState, StorageOptions
from nbstep_runner.stores import open_store
from servers import image, relay, sshd
from servers.cluster import Api, Launcher

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

NBSTEP = Path(sys.executable).with_name("nbstep")
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"

MODELS = """
import json, os
from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
options = StorageOptions(known_hosts="/secrets/sftp/known_hosts", identity_file="/secrets/sftp/id")
metadata = json.dumps({"lda": 0.9}).encode()
for name, data in {"clf_lda.joblib": b"lda", "clf_nn.joblib": b"nn", "metadata.json": metadata}.items():
    open_store(target, options).write(f"{target}/{name}", data)
print("uploaded as user", os.getuid())
"""

PRINTS_AND_WAITS = """
import os, time
from nbstep_runner.stores import open_store
seen = os.environ["SEEN"]
store = open_store(seen)
for n in (1, 2, 3):
    print("line", n, flush=True)
    while store.stat(f"{seen}-{n}") is None:
        time.sleep(0.1)
"""


def test_models_go_to_an_ssh_server_with_keys_from_a_secret(launcher: Launcher, cluster: Api, tmp_path: Path) -> None:
    with sshd.running(tmp_path) as server, relay.relayed(server.port) as (host, port):
        key = server.known_hosts.read_text().split(" ", 1)[1]
        known_hosts = tmp_path / "known_hosts_here"
        known_hosts.write_text(f"[{host}]:{port} {key}")
        files = {"id": server.identity_file.read_bytes(), "known_hosts": known_hosts.read_bytes()}
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sftp"}, "data": data})
        base = f"sftp://{getpass.getuser()}@{host}:{port}{server.root}"
        options = launcher.options(
            secrets={"sftp": {"path": "/secrets/sftp"}},
            fs_group=image.USER,
            storage={"known_hosts": "/secrets/sftp/known_hosts", "identity_file": "/secrets/sftp/id"},
        )
        options["storage"] = {"known_hosts": str(known_hosts), "identity_file": str(server.identity_file)}
        run = launcher.submit(
            'target: str = ""',
            MODELS,
            params={"target": f"{base}/models"},
            runs=f"{base}/runs",
            env={},
            options=options,
        )
        assert run.wait(timeout=120).state is RunState.SUCCEEDED
        assert {path.name for path in (server.root / "models").iterdir()} == {
            "clf_lda.joblib",
            "clf_nn.joblib",
            "metadata.json",
        }
        manifest = json.dumps(cluster.get("job", run.id))
        assert server.identity_file.read_text().splitlines()[1] not in manifest
        assert "OPENSSH" not in (server.root / f"runs/{run.id}/output.ipynb").read_text()


@pytest.fixture
def claim(cluster: Api, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A claim, and where this machine has its files: the cluster's node has to be this machine."""
    if [node["metadata"]["name"] for node in cluster.get("nodes")["items"]] != ["localhost"]:
        pytest.skip("the claim's folder is one of this machine, which is no node of the cluster")
    folder = tmp_path / "claim"
    folder.mkdir()
    for path in (folder, *list(folder.parents)[:3]):
        path.chmod(0o777)
    name = f"shared-{cluster.namespace}"
    size = {"storage": "1Gi"}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadWriteMany"],
                "hostPath": {"path": str(folder)},
                "storageClassName": "",
                "claimRef": {"namespace": cluster.namespace, "name": "shared"},
            },
        }
    )
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "shared"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "resources": {"requests": size},
                "volumeName": name,
            },
        }
    )
    yield "shared", folder
    cluster("delete", "pvc", "shared", "--wait=false")
    cluster("delete", "pv", name, "--wait=false")


def test_a_claim_is_a_place_like_any_other(launcher: Launcher, claim: tuple[str, Path]) -> None:
    name, folder = claim
    options = launcher.options(claims={name: {"here": str(folder)}})
    (folder / "data.csv").write_text("1,2,3")
    (folder / "runs/on-a-claim").mkdir(parents=True)
    for path in (folder / "runs", folder / "runs/on-a-claim"):
        path.chmod(0o777)
    run = launcher.submit(
        'data: str = ""',
        "print(data, open(data).read())",
        params={"data": f"pvc://{name}/data.csv"},
        runs=f"pvc://{name}/runs",
        run_id="on-a-claim",
        options=options,
    )
    assert run.wait(timeout=120).state is RunState.SUCCEEDED
    assert f"/pvc/{name}/data.csv 1,2,3" in [line.message for line in run.lines()]
    assert (folder / "runs/on-a-claim/output.ipynb").exists()


def test_the_launcher_notebook_trains_as_a_job(launcher: Launcher, tmp_path: Path) -> None:
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    (tmp_path / "flights").mkdir()
    for name in ("flights.ipynb", "launcher.ipynb", "flights/predict.ipynb"):
        shutil.copy(NOTEBOOKS / name, tmp_path / name)
    profile = {
        "runs": launcher.bucket.runs,
        "image": launcher.image,
        "env": launcher.environment() | {"AWS_ENDPOINT_URL": launcher.bucket.endpoint},
        "resources": {"cpu": "100m", "memory": "1Gi"},
        **launcher.options(),
    }
    (tmp_path / "nbstep.yaml").write_text(yaml.safe_dump({"profiles": {"test": profile}}))
    done = subprocess.run(
        [
            *(NBSTEP, "run", "launcher.ipynb", "out.ipynb", "--json"),
            *("-y", "{ON: [kubernetes], ENDPOINTS: [kubernetes], PROFILE: test}", "-r", "RUNS", launcher.bucket.runs),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert 0.5 < results["kubernetes_auc"] <= 1
    early, late = results["kubernetes_odds"]
    assert early > late
    assert "flights on 14 days" in done.stderr


def test_the_commands_reach_a_job(launcher: Launcher, tmp_path: Path) -> None:
    run = launcher.submit("x = 1", "print('begun', flush=True)\nimport time\ntime.sleep(300)")
    where = ["--runs", launcher.bucket.runs, "--endpoint-url", launcher.bucket.endpoint]

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [NBSTEP, *arguments, *where], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
        )

    for line in run.lines(follow=True):
        if line.message == "begun":
            break
    done = typed("status", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{run.id}: running (pod {run.id}-" in done.stdout
    done = typed("logs", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    assert "begun" in done.stdout
    done = typed("cancel", "--wait", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{run.id}: cancelled" in done.stdout
    done = typed("wait", run.id)
    assert done.returncode == 143
    assert "Traceback" not in done.stderr
    listed = json.loads(typed("list", "--json").stdout)
    assert (run.id, "cancelled") in [(record["run_id"], record["state"]) for record in listed]
    assert [record.run_id for record in nbstep.history(launcher.bucket.runs)]


def test_each_line_is_shown_while_the_cell_that_prints_it_runs(launcher: Launcher) -> None:
    """The cell goes on once the line before was seen here."""
    seen = f"{launcher.bucket.runs}/seen/{time.time_ns()}"
    run = launcher.submit("x = 1", PRINTS_AND_WAITS, env={"SEEN": seen})
    store = open_store(seen, StorageOptions(endpoint_url=launcher.bucket.endpoint))
    shown = []
    for line in run.lines(follow=True):
        if line.message.startswith("line"):
            shown.append(line.message)
            store.write(f"{seen}-{len(shown)}", b"")
    assert shown == ["line 1", "line 2", "line 3"]
    assert run.wait(timeout=100).state is RunState.SUCCEEDED
