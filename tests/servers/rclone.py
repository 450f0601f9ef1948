"""rclone as a server of WebDAV, SFTP, HTTP and S3, each with habits of its own, for one test run.

* WebDAV (Go's library): ignores ``If-Match`` and ``If-None-Match``, writes in place, removes what ``MOVE`` replaces
  before it renames, locks an object while it writes;
* SFTP (Go's library): its plain rename replaces, it knows no hard links, and a file has another time once it is closed;
* S3: writes in place of the old object, with a moment in which there is none; calls itself ``AmazonS3``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.ports import LOOPBACK, free_port, require, start, stop
from servers.sshd import make_key

_PACKAGE = "rclone; .ci/run unpacks a release that knows `serve s3`"


@dataclass(frozen=True)
class RcloneServer:
    port: int
    root: Path

    def uri(self, port: int | None = None) -> str:
        """The root's, for ``webdav`` and ``http``, possibly through a proxy."""
        return f"http://{LOOPBACK}:{port or self.port}/"


@contextmanager
def running(kind: str, folder: Path, *flags: str) -> Iterator[RcloneServer]:
    """``rclone serve KIND``. It remembers a folder for a moment: with none, its timers leave it no time to answer."""
    binary = require("rclone", _PACKAGE)
    port, root = free_port(), folder / "root"
    root.mkdir()
    own = ("--config", str(folder / "rclone.conf"), "--dir-cache-time", "20ms", "--addr", f"{LOOPBACK}:{port}")
    process = start([binary, "serve", kind, *own, *flags, str(root)], port, folder / "rclone.log")
    try:
        yield RcloneServer(port, root)
    finally:
        stop(process)


@dataclass(frozen=True)
class RcloneSftp:
    """An SFTP server, with the files that a client needs to trust it and to be trusted."""

    port: int
    root: Path
    known_hosts: Path
    identity_file: Path

    @property
    def uri(self) -> str:
        return f"sftp://runner@{LOOPBACK}:{self.port}/"


@contextmanager
def running_sftp(folder: Path) -> Iterator[RcloneSftp]:
    host_key, user_key = make_key(folder / "host_key"), make_key(folder / "user_key")
    flags = ("--key", str(host_key), "--authorized-keys", str(user_key.with_suffix(".pub")))
    with running("sftp", folder, *flags) as server:
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(f"[{LOOPBACK}]:{server.port} {host_key.with_suffix('.pub').read_text()}")
        yield RcloneSftp(server.port, server.root, known_hosts, user_key)
