"""``nbstep-runner sftp://… sftp://… sftp://…``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
from servers.runner_on_store import CELLS, Remote, RunnerOnStore
from servers.sshd import SshServer

pytestmark = pytest.mark.slow


class TestSftp(RunnerOnStore):
    @pytest.fixture
    def remote(self, ssh_server: SshServer, sftp_folder: str) -> Remote:
        known, key = str(ssh_server.known_hosts), str(ssh_server.identity_file)
        store = open_store(sftp_folder, StorageOptions(known_hosts=known, identity_file=key))
        return Remote(sftp_folder, store, flags=("--known-hosts", known, "--identity-file", key))

    @pytest.mark.fault(46)
    def test_an_unknown_server_is_refused(self, remote: Remote, tmp_path: Path) -> None:
        remote.put(CELLS)
        (tmp_path / "known_hosts").touch()
        strange = Remote(
            remote.folder, remote.store, flags=(*remote.flags, "--known-hosts", str(tmp_path / "known_hosts"))
        )
        done = strange.run(tmp_path)
        assert done.code == 77
        said = "".join(json.loads(line)["message"] for line in done.stdout.splitlines())
        assert "is not known: it shows SHA256:" in said
        assert "Ada has" not in said
