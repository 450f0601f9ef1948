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


@pytest.mark.fault(65)
@pytest.mark.fault(66)
def test_a_server_without_extensions_keeps_a_run_and_promises_less(
    plain_ssh_server: SshServer, plain_sftp_folder: str, tmp_path: Path
) -> None:
    known, key = str(plain_ssh_server.known_hosts), str(plain_ssh_server.identity_file)
    store = open_store(plain_sftp_folder, StorageOptions(known_hosts=known, identity_file=key))
    remote = Remote(plain_sftp_folder, store, flags=("--known-hosts", known, "--identity-file", key))
    remote.put(CELLS)
    for _ in range(2):
        assert remote.run(tmp_path, "--force").code == 0
        assert remote.names() == {"out.ipynb", "out.result.json", "out.log.jsonl"}
    assert remote.record()["store"] == {"atomic_replace": False, "conditional_write": False, "verified": True}


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
