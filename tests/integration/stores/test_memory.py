"""A large local file goes up in pieces: it is never in memory as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.sshd import SshServer

MEGABYTES = 150
ALLOWED = 90
"""Parts of 16 MB, in the copies that a client library makes of one."""
CODE = """
import resource, sys
from pathlib import Path
from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
source, target, known, key = sys.argv[1:]
options = StorageOptions(allow_private_addresses=True, known_hosts=known or None, identity_file=key or None)
store = open_store(target, options)
store.write(target, b"connected, and all libraries are loaded")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.write(target, Path(source))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("scheme", ["gcs", "s3", "sftp", "web"])
def test_a_large_file_goes_up_in_pieces(scheme: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder: str = request.getfixturevalue(f"{scheme}_folder")
    ssh: SshServer | None = request.getfixturevalue("ssh_server") if scheme == "sftp" else None
    (tmp_path / "large").write_bytes(os.urandom(MEGABYTES * 2**20))
    keys = [str(ssh.known_hosts), str(ssh.identity_file)] if ssh else ["", ""]
    assert grown(tmp_path / "large", f"{folder}large", *keys) < ALLOWED


def grown(source: Path, target: str, *keys: str) -> int:
    """Megabytes that the process needed more for the large file than for a small object."""
    command = [sys.executable, "-c", CODE, str(source), target, *keys]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
