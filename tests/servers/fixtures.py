"""Fixtures of the servers, for the conftest of every folder of tests that needs them.

A server runs for the whole session; buckets and folders are new for each test.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import apache, faultproxy, gcs, nginx, rclone, s3, sshd, versitygw


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
def plain_ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.SshServer]:
    """One that offers neither ``posix-rename`` nor hard links."""
    with sshd.running(tmp_path_factory.mktemp("plain-sshd"), "-P posix-rename,hardlink") as server:
        yield server


@pytest.fixture(scope="session")
def apache_server() -> Iterator[apache.ApacheServer]:
    with apache.running() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rclone.RcloneServer]:
    with rclone.running("webdav", tmp_path_factory.mktemp("rclone-dav")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rclone.RcloneSftp]:
    with rclone.running_sftp(tmp_path_factory.mktemp("rclone-sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rclone.RcloneServer]:
    keys = f"{versitygw.KEY},{versitygw.SECRET}"
    with rclone.running("s3", tmp_path_factory.mktemp("rclone-s3"), "--auth-key", keys) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[versitygw.GatewayServer]:
    with versitygw.running(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nginx.NginxServer]:
    with nginx.running(tmp_path_factory.mktemp("nginx")) as server:
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
def plain_sftp_folder(plain_ssh_server: sshd.SshServer) -> str:
    return f"{plain_ssh_server.uri()}{new_name()}/"


@pytest.fixture
def rclone_sftp_folder(rclone_sftp: rclone.RcloneSftp) -> str:
    return f"{rclone_sftp.uri}{new_name()}/"


@pytest.fixture
def apache_folder(apache_server: apache.ApacheServer) -> str:
    return f"{apache_server.uri()}{new_name()}/"


@pytest.fixture
def rclone_dav_folder(rclone_dav: rclone.RcloneServer) -> str:
    return f"{rclone_dav.uri()}{new_name()}/"


@pytest.fixture
def gateway_folder(gateway: versitygw.GatewayServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and an environment that leads to it."""
    return _bucket(gateway.endpoint, monkeypatch)


@pytest.fixture
def rclone_s3_folder(rclone_s3: rclone.RcloneServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and an environment that leads to it."""
    return _bucket(rclone_s3.uri().rstrip("/"), monkeypatch)


def _bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in versitygw.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    bucket = new_name()
    versitygw.client(endpoint).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/"


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
