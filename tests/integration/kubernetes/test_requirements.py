"""A run of a cluster brings its requirements: an image with them is built here, pushed, and pulled there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import RunState
from servers.cluster import Launcher
from servers.dockerd import Docker, pip_secrets
from servers.registry import Registry

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

USER = 10001  # of our own image


def test_an_image_is_built_pushed_and_pulled_once(
    launcher: Launcher, docker: Docker, image: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(docker.client).parent}:{os.environ['PATH']}")
    secrets = {name: str(path) for name, path in pip_secrets(docker.folder).items()}
    build = {"repository": f"{registry.host}/team/launched", "network": "host", "secrets": secrets}
    options = launcher.options(run_as_user=USER, pull_policy="IfNotPresent") | {"build": build}
    places: dict[str, Any] = {"image": image, "options": options, "requirements": ["humanize==4.9.0"]}

    first = launcher.submit("x = 1", "import humanize\nprint(humanize.ordinal(2))", **places)
    result = first.wait(timeout=300)
    assert result.state is RunState.SUCCEEDED
    assert result.environment is not None
    built = str(result.environment.image)
    assert built.startswith(f"{registry.host}/team/launched:")
    assert registry.manifest(built)
    assert "2nd" in [line.message for line in first.lines()]

    docker.call("image", "rm", built, check=False)
    second = launcher.submit("x = 2", "import humanize\nassert x == 2", **places).wait(timeout=100)
    assert second.environment is not None
    assert (second.state, second.environment.image) == (RunState.SUCCEEDED, built)
    assert docker.call("image", "inspect", built, check=False).returncode != 0  # it was not built again
