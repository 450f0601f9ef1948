"""The servers that these tests start, and stores that reach them through proxies that fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
from servers import faultproxy
from servers.fixtures import *  # noqa: F403 - fixtures are found by their names
from servers.gcs import GcsServer
from servers.nginx import NginxServer
from servers.places import Place
from servers.s3 import S3Server

_LOCAL = StorageOptions(allow_private_addresses=True)


@pytest.fixture
def gcs_place(gcs_server: GcsServer, gcs_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    outside = open_store(gcs_folder)
    outside.stat(f"{gcs_folder}connect-now")  # before the environment leads elsewhere
    with faultproxy.running(gcs_server.port) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.endpoint)
        yield Place("gs", gcs_folder, proxy, outside, gcs_folder)


@pytest.fixture
def s3_place(s3_server: S3Server, s3_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    outside = open_store(s3_folder, StorageOptions(endpoint_url=s3_server.endpoint))
    with faultproxy.running(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        yield Place("s3", s3_folder, proxy, outside, s3_folder)


@pytest.fixture
def web_place(web_server: NginxServer, web_folder: str) -> Iterator[Place]:
    with faultproxy.running(web_server.port) as proxy:
        folder = web_folder.replace(web_server.uri(), web_server.uri(proxy.port))
        yield Place("http", folder, proxy, open_store(web_folder, _LOCAL), web_folder)


@pytest.fixture(params=["gcs_place", "s3_place", "web_place"], ids=["gs", "s3", "http"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each store that speaks HTTP, in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["gcs_place", "s3_place"], ids=["gs", "s3"])
def cloud(request: pytest.FixtureRequest) -> Place:
    """Each store whose server verifies checksums and conditions, in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found
