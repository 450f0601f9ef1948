"""One daemon, one image and one registry for all tests of containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from servers import dockerd
from servers import registry as registries
from servers.dockerd import Docker
from servers.registry import Registry

IMAGE: Final = "nbstep-test-runner:slim"


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with dockerd.running(tmp_path_factory.mktemp("docker")) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    dockerd.make_base(docker)
    docker.build(IMAGE)
    return IMAGE


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder that a container's user can write to."""
    tmp_path.chmod(0o777)
    return tmp_path
