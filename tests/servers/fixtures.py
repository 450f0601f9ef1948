"""Fixtures of the servers, for the conftest of every folder of tests that needs them.

A server runs for the whole session; buckets and folders are new for each test.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import faultproxy, ftp, gcs, nginx, s3, sshd


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gcs.GcsServer]:
    with gcs.running(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    with s3.running() as server:
        yield server


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.SshServer]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nginx.NginxServer]:
    with nginx.running(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture(scope="session")
def ftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ftp.FtpServer]:
    with ftp.running(tmp_path_factory.mktemp("ftp")) as server:
        yield server


@pytest.fixture
def gcs_proxy(gcs_server: gcs.GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[faultproxy.Proxy]:
    """Between this process and the emulator."""
    with faultproxy.running(gcs_server.port) as proxy:
        for name, value in gcs_server.environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def s3_proxy(s3_server: s3.S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[faultproxy.Proxy]:
    """Between this process and moto."""
    with faultproxy.running(s3_server.port) as proxy:
        for name, value in s3_server.environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def web_proxy(web_server: nginx.NginxServer) -> Iterator[faultproxy.Proxy]:
    with faultproxy.running(web_server.port) as proxy:
        yield proxy


@pytest.fixture
def gcs_folder(gcs_server: gcs.GcsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and an environment that leads to it."""
    for name, value in gcs_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket = new_name()
    gcs_server.make_bucket(bucket)
    return f"gs://{bucket}/"


@pytest.fixture
def s3_folder(s3_server: s3.S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and an environment that leads to it."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket = new_name()
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}/"


@pytest.fixture
def sftp_folder(ssh_server: sshd.SshServer) -> str:
    return f"{ssh_server.uri()}{new_name()}/"


@pytest.fixture
def web_folder(web_server: nginx.NginxServer) -> str:
    return f"{web_server.uri()}{new_name()}/"


@pytest.fixture
def ftp_folder(ftp_server: ftp.FtpServer) -> str:
    return f"{ftp_server.uri}{new_name()}/"


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A place where nobody is logged in to anything."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def new_name() -> str:
    return f"nbstep-{secrets.token_hex(6)}"
