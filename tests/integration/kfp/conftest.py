"""A daemon and images for the pipelines that run as containers, and a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.dockerd import Docker
from servers.fixtures import gcs_folder, gcs_server, s3_server

__all__ = ["gcs_folder", "gcs_server", "s3_server"]

DATA_SCIENCE = "nbstep-test-runner:data-science"


@pytest.fixture
def client(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """The daemon, which Docker's SDK in this process reaches too."""
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    return docker


@pytest.fixture(scope="session")
def data_science(docker: Docker, image: str) -> str:
    assert image
    docker.build(DATA_SCIENCE, target="data-science")
    return DATA_SCIENCE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs go; steps start in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
