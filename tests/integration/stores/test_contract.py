"""Every store against its real server keeps the contract of stores."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store
from nbstep_runner.testing.contract import StoreContract
from servers.ftp import FtpServer
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


class TestSftp(_Encoded):
    @pytest.fixture
    def store(self, folder: str, ssh_server: SshServer) -> Store:
        known, key = str(ssh_server.known_hosts), str(ssh_server.identity_file)
        return open_store(folder, StorageOptions(known_hosts=known, identity_file=key))

    @pytest.fixture
    def folder(self, sftp_folder: str) -> str:
        return sftp_folder


class TestWebDav(_Encoded):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder, StorageOptions(allow_private_addresses=True))

    @pytest.fixture
    def folder(self, web_folder: str) -> str:
        return web_folder


class TestFtpThroughFsspec(StoreContract):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder)

    @pytest.fixture
    def folder(self, ftp_folder: str, ftp_server: FtpServer) -> str:
        (ftp_server.root / ftp_folder.rstrip("/").rpartition("/")[2]).mkdir()
        return ftp_folder
