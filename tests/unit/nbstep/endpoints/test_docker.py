"""An endpoint as the request that creates its container: what it adds to that of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbstep.backends.docker.request import request
from nbstep.endpoints.api import planned
from nbstep.endpoints.docker import DockerHost, container
from nbstep.endpoints.plan import Deployment
from nbstep.profiles import chosen_profile
from nbstep.profiles.exposure import Exposure
from nbstep.submission.request import Request
from nbstep_runner.errors import UsageError
from support import notebooks


@pytest.fixture(autouse=True)
def _notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    notebooks.write(tmp_path / "served.ipynb", ["1"])


def deployment(port: int = 0, **docker: str) -> Deployment:
    profile = chosen_profile(None, {"on": "docker", "image": "image", "labels": {"team": "a"}, "docker": docker})
    request = Request(notebook="served.ipynb", profile=profile)
    return planned(request, "served", {}, Exposure(port=port))


def published(made: dict[str, Any]) -> Any:
    return made["HostConfig"].get("PortBindings")


def test_it_is_the_container_of_a_run_that_starts_again_and_has_a_port(tmp_path: Path) -> None:
    planned = deployment()
    made, run = container(planned), request(planned.submission)
    labels = {"nbstep/endpoint": "served", "nbstep/revision": planned.revision, "team": "a"}
    bindings = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    host = run["HostConfig"] | {"RestartPolicy": {"Name": "unless-stopped"}, "PortBindings": bindings}
    assert made == run | {"Labels": labels, "ExposedPorts": {"8080/tcp": {}}, "HostConfig": host}
    assert [mount["Target"] for mount in made["HostConfig"]["Mounts"]] == [str(tmp_path / "nbstep-runs" / "served")]


def test_a_port_that_is_named_is_this_machines_own() -> None:
    assert published(container(deployment(8123))) == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8123"}]}


def test_on_the_machines_network_the_process_itself_listens_for_this_machine() -> None:
    planned = deployment(8123, network="host")
    serving = planned.submission.spec.serving
    assert serving is not None
    assert (serving.host, serving.port, published(container(planned))) == ("127.0.0.1", 8123, None)


def test_without_a_network_nothing_could_ask_it() -> None:
    with pytest.raises(UsageError, match="without a network cannot be asked"):
        container(deployment(network="none"))


def test_each_revision_is_a_container_of_its_own() -> None:
    first, second = (DockerHost().plan(deployment(port)).handle for port in (1, 2))
    assert first.startswith("docker://endpoint-served-")
    assert first == DockerHost().plan(deployment(1)).handle
    assert second.startswith("docker://endpoint-served-")
