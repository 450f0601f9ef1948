"""OpenSSH's own server, for one test run, with keys made for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.ports import LOOPBACK, free_port, require, start, stop

_CONFIGURATION = """
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
LoginGraceTime 20
Subsystem sftp internal-sftp {flags}
"""


@dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        root: A folder of this machine; its files are the server's.
        known_hosts: The file that holds the server's host key.
        identity_file: A private key that it accepts.
    """

    port: int
    root: Path
    known_hosts: Path
    identity_file: Path

    def uri(self, port: int | None = None) -> str:
        """The root's, possibly through a proxy."""
        return f"sftp://{LOOPBACK}:{port or self.port}{self.root}/"

    def trust(self, port: int) -> None:
        """Know the host key at another port too, where a proxy stands."""
        line = self.known_hosts.read_text().splitlines()[0].partition(" ")[2]
        with self.known_hosts.open("a") as known:
            known.write(f"[{LOOPBACK}]:{port} {line}\n")


def make_key(path: Path) -> Path:
    keygen = require("ssh-keygen", "openssh-client")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", "nbstep-tests", "-f", str(path)], check=True)
    return path


@contextmanager
def running(folder: Path, flags: str = "") -> Iterator[SshServer]:
    """A server; the flags are those of its ``internal-sftp``, such as ``-P posix-rename`` for one that lacks it."""
    binary = require("sshd", "openssh-server")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own, where no service manager has made it
    port, root = free_port(), folder / "root"
    root.mkdir()
    host_key, user_key = make_key(folder / "host_key"), make_key(folder / "user_key")
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[{LOOPBACK}]:{port} {host_key.with_suffix('.pub').read_text()}")
    configuration = folder / "sshd_config"
    configuration.write_text(_CONFIGURATION.format(port=port, address=LOOPBACK, folder=folder, flags=flags))
    process = start([binary, "-D", "-e", "-f", str(configuration)], port, folder / "sshd.log")
    try:
        yield SshServer(port, root, known_hosts, user_key)
    finally:
        stop(process)
