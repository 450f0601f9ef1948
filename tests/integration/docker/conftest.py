"""Object stores that containers reach through the machine's own network, and an image of this environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from nbstep.backends.docker.engine import engine
from servers import image as images
from servers.dockerd import Docker
from servers.fixtures import gcs_folder, gcs_server, s3_folder, s3_server

__all__ = ["gcs_folder", "gcs_server", "s3_folder", "s3_server"]

ENVIRONMENT = "nbstep-test-environment:current"


@pytest.fixture(scope="session")
def environment_image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of this very environment: it can serve, and train the examples."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    images.build(archive, ENVIRONMENT, Path(tempfile.gettempdir()))
    docker.call("load", "--input", archive)
    archive.unlink()
    return ENVIRONMENT


@pytest.fixture
def daemon(docker: Docker, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    """This process's client reaches the tests' daemon; its runs lie in the test's folder."""
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    engine.cache_clear()
    monkeypatch.chdir(work)
