"""What a profile asks of a cluster is had, or the run is refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbstep.backends.kubernetes.api.cluster import Cluster
from nbstep.backends.kubernetes.api.contexts import context_named
from nbstep.backends.kubernetes.manifest import job
from nbstep.profiles import load_profile
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError
from servers.cluster import Api, Launcher
from unit.nbstep.backends.kubernetes.test_manifest import FULL, submission

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


@pytest.fixture
def every_option() -> dict[str, Any]:
    """A profile of every option but for image volumes, which this cluster drops."""
    options = {name: value for name, value in FULL["kubernetes"].items() if name != "image_volumes"}
    return FULL | {"kubernetes": options}


def image_volumes_are_dropped(cluster: Api) -> bool:
    version = json.loads(cluster("get", "--raw", "/version"))
    return (int(version["major"]), int(version["minor"].rstrip("+"))) < (1, 35)


def test_every_option_is_kept_by_the_cluster(launcher: Launcher, cluster: Api, every_option: dict[str, Any]) -> None:
    manifest = job(submission(load_profile(None, every_option)), launcher.cluster.namespace)
    kept = Cluster(context_named(None)[0]).create_job(cluster.namespace, manifest)
    pod = kept["spec"]["template"]["spec"]
    assert pod["hostUsers"] is False
    assert [claim["name"] for claim in pod["resourceClaims"]] == ["gpu", "net"]


def test_a_field_that_the_cluster_drops_starts_nothing(launcher: Launcher, cluster: Api) -> None:
    if not image_volumes_are_dropped(cluster):
        pytest.skip("this cluster has image volumes")
    model = {"model": {"image": "localhost/model:1", "path": "/models"}}
    with pytest.raises(BadInputError, match=r"would drop or change .*spec\.template\.spec\.volumes\[image-model\]"):
        launcher.submit("x = 1", kubernetes={"image_volumes": model}, run_id="dropped")
    assert cluster("get", "job", "dropped", "--ignore-not-found") == ""


@pytest.mark.usefixtures("launcher")
def test_a_field_that_no_api_knows_is_refused(cluster: Api) -> None:
    manifest = job(submission(load_profile(None, {"on": "kubernetes", "image": "i:1"})), cluster.namespace)
    manifest["spec"]["template"]["spec"]["hostUser"] = False
    with pytest.raises(BadInputError, match=r'unknown field "spec\.template\.spec\.hostUser"'):
        Cluster(context_named(None)[0]).create_job(cluster.namespace, manifest)


@pytest.fixture
def spare_volume(cluster: Api, tmp_path: Path) -> Iterator[Path]:
    """A volume for the claim that a run makes, which is a folder of this machine, the cluster's node."""
    if [node["metadata"]["name"] for node in cluster.get("nodes")["items"]] != ["localhost"]:
        pytest.skip("the volume is a folder of this machine, which is no node of the cluster")
    folder, name = tmp_path / "volume", f"spare-{cluster.namespace}"
    cluster.make_volume(name, name, folder)
    yield folder
    cluster("delete", "pv", name, "--wait=false")


def test_a_run_works_on_a_claim_of_its_own(launcher: Launcher, cluster: Api, spare_volume: Path) -> None:
    claim = {"path": "/work", "size": "1Gi", "storage_class": f"spare-{cluster.namespace}"}
    run = launcher.submit(
        "x = 1", "open('large.bin', 'w').write('x' * 1000)", kubernetes={"volumes": {"work": claim}, "spread": [{}]}
    )
    assert run.wait(timeout=120).state is RunState.SUCCEEDED
    assert (spare_volume / "large.bin").stat().st_size == 1000
