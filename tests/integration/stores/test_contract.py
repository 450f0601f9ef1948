"""Every store against its real server keeps the contract of stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store
from nbstep_runner.testing.contract import StoreContract
from servers.fixtures import new_name
from servers.packages import DiskFileSystem, ObjectsFileSystem, installed
from servers.rclone import RcloneSftp
from servers.sshd import SshServer


class _Encoded(StoreContract):
    def named(self, folder: str, name: str) -> str:
        return folder + quote(name)


class TestGcs(StoreContract):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder)

    @pytest.fixture
    def folder(self, gcs_folder: str) -> str:
        return f"{gcs_folder}some/folder/"


class TestS3(StoreContract):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder)

    @pytest.fixture
    def folder(self, s3_folder: str) -> str:
        return f"{s3_folder}some/folder/"


class TestVersityGateway(TestS3):
    @pytest.fixture
    def folder(self, gateway_folder: str) -> str:
        return f"{gateway_folder}some/folder/"


class TestRcloneS3(TestS3):
    @pytest.fixture
    def folder(self, rclone_s3_folder: str) -> str:
        return f"{rclone_s3_folder}some/folder/"


class _Sftp(_Encoded):
    @pytest.fixture
    def server(self) -> SshServer | RcloneSftp:
        raise NotImplementedError

    @pytest.fixture
    def store(self, folder: str, server: SshServer | RcloneSftp) -> Store:
        known, key = str(server.known_hosts), str(server.identity_file)
        return open_store(folder, StorageOptions(known_hosts=known, identity_file=key))


class TestOpenSsh(_Sftp):
    @pytest.fixture
    def server(self, ssh_server: SshServer) -> SshServer:
        return ssh_server

    @pytest.fixture
    def folder(self, sftp_folder: str) -> str:
        return sftp_folder


class TestOpenSshWithoutExtensions(_Sftp):
    @pytest.fixture
    def server(self, plain_ssh_server: SshServer) -> SshServer:
        return plain_ssh_server

    @pytest.fixture
    def folder(self, plain_sftp_folder: str) -> str:
        return plain_sftp_folder


class TestRcloneSftp(_Sftp):
    @pytest.fixture
    def server(self, rclone_sftp: RcloneSftp) -> RcloneSftp:
        return rclone_sftp

    @pytest.fixture
    def folder(self, rclone_sftp_folder: str) -> str:
        return rclone_sftp_folder


class TestNginx(_Encoded):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder, StorageOptions(allow_private_addresses=True))

    @pytest.fixture
    def folder(self, web_folder: str) -> str:
        return web_folder


class TestApache(TestNginx):
    @pytest.fixture
    def folder(self, apache_folder: str) -> str:
        return apache_folder


class TestRcloneDav(TestNginx):
    @pytest.fixture
    def folder(self, rclone_dav_folder: str) -> str:
        return rclone_dav_folder


class TestDiskThroughFsspec(StoreContract):
    @pytest.fixture
    def store(self, folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        with installed(DiskFileSystem, monkeypatch):
            yield open_store(folder)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return f"disk://{tmp_path}/place/"


class TestObjectsThroughFsspec(StoreContract):
    @pytest.fixture
    def store(self, folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        with installed(ObjectsFileSystem, monkeypatch):
            yield open_store(folder)

    @pytest.fixture
    def folder(self) -> str:
        return f"objects://{new_name()}/"
