"""A Docker daemon of the tests' own, and the images that are built in it.

It shares nothing with a daemon that this machine may run: its data, its socket and its client's configuration lie in a
temporary folder. It has no network of its own, so containers and builds use the machine's (``--network=host``) or none.

``NBSTEP_TEST_DOCKER_HOST`` names a daemon that is used instead, and keeps its images from session to session.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from servers.ports import die_with_parent, require, stop, wait_until
from support.needs import missing

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "nbstep-test-base:debian"
PACKAGES: Final = "python3,python3-venv,ca-certificates"
SUITE: Final = "bookworm"
TAKEN_OVER: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
CLIENT: Final = Path("/usr/bin/docker")
"""The client of the daemon's own package; another ``docker`` on the path may be of another age."""
DISK_BYTES: Final = 60 * 2**30
"""What the daemon's data may take; the file of their filesystem has holes, and takes what was written."""
ON_DISK: Final = """
disk=$1 data=$2; shift 2
mkfs.ext4 -q -O ^has_journal -E assume_storage_prezeroed=1 "$disk" && mount -o loop,nobarrier "$disk" "$data"
exec "$@"
"""
"""Runs a daemon whose data lie in one file, where this machine can do that: it is removed at once, a million files in
minutes. The mount is seen by the daemon alone, and ends with it."""

_CONFIGURATION: Final = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "storage-driver": "overlay2",
    "oom-score-adjust": 0,  # the default needs a right that a container of the tests may not have
    "features": {"buildkit": True},
}


@dataclass(frozen=True)
class Docker:
    """A running daemon.

    Attributes:
        environment: What a client needs to reach it.
    """

    client: str
    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str | Path) -> list[str]:
        return [self.client, *map(str, arguments)]

    def call(
        self, *arguments: str | Path, check: bool = True, timeout: float = 100, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **options,
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def inspect(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.call("inspect", name).stdout)
        described: dict[str, Any] = found
        return described

    def build(self, tag: str, *options: str, target: str = "slim") -> float:
        """Build one of our images, and return the seconds that it took."""
        began = time.monotonic()
        secrets = [f"--secret=id={name},src={path}" for name, path in pip_secrets(self.folder).items()]
        self.call(
            "build",
            "--network=host",
            f"--build-arg=BASE={BASE}",
            f"--target={target}",
            f"--tag={tag}",
            *secrets,
            *options,
            "--file=images/Dockerfile",
            ".",
            cwd=ROOT,
            timeout=600,
        )
        return time.monotonic() - began


def pip_secrets(folder: Path) -> dict[str, Path]:
    """This machine's way to its package index, as the build secrets that the Dockerfile takes."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in listed.stdout.splitlines())
    settings = {name.rpartition(".")[2]: value.strip("'") for name, value in found.items()}
    secrets = {"pip.conf": folder / "pip.conf"}
    lines = [f"{name} = {settings[name]}" for name in TAKEN_OVER if name in settings and "file:" not in settings[name]]
    if "cert" in settings:
        secrets["ca.pem"] = Path(settings["cert"])
        lines.append("cert = /run/secrets/ca.pem")
    secrets["pip.conf"].write_text("\n".join(["[global]", *lines, ""]))
    return secrets


@contextmanager
def running(folder: Path) -> Iterator[Docker]:
    """The daemon, until the end of the block; its containers end with it."""
    if host := os.environ.get("NBSTEP_TEST_DOCKER_HOST"):
        yield _client(folder, host)
        return
    process = _daemon(folder, folder / "docker.sock")
    docker = _client(folder, f"unix://{folder}/docker.sock")
    try:
        yield docker
    finally:
        _remove_containers(docker)
        stop(process)
        (folder / "disk").unlink()
        for name in ("data", "exec"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _client(folder: Path, host: str) -> Docker:
    client = str(CLIENT) if CLIENT.exists() else require("docker", "docker.io")
    configuration = folder / "client"
    configuration.mkdir()
    (configuration / "config.json").write_text("{}")
    return Docker(client, folder, {"DOCKER_HOST": host, "DOCKER_CONFIG": str(configuration), "DOCKER_BUILDKIT": "1"})


def _daemon(folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    binary = require("dockerd", "docker.io")
    if os.geteuid() != 0:
        missing("dockerd", "a Docker daemon needs root")
    (folder / "daemon.json").write_text(json.dumps(_CONFIGURATION))
    (folder / "data").mkdir()
    with (folder / "disk").open("wb") as disk:
        disk.truncate(DISK_BYTES)
    command = [
        *("unshare", "--mount", "--propagation=slave", "sh", "-c", ON_DISK, "sh", disk.name, f"{folder}/data"),
        binary,
        f"--config-file={folder}/daemon.json",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{socket}",
    ]
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=die_with_parent)  # noqa: PLW1509 - the tests start servers from their only thread
    try:
        wait_until(lambda: "API listen on" in log.read_text(), lambda: process.poll() is not None)
    except TimeoutError:
        stop(process)
        missing("dockerd", f"no Docker daemon can run here: {log.read_text()[-2000:]}")
    return process


def _remove_containers(docker: Docker) -> None:
    left = docker.call("ps", "--all", "--quiet", check=False).stdout.split()
    if left:
        docker.call("rm", "--force", "--volumes", *left, check=False)


def make_base(docker: Docker) -> None:
    """Debian with Python, as the image to build on; its archive is kept for the next session."""
    if docker.call("image", "inspect", BASE, check=False).returncode == 0:
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nbstep-tests"
    archive = cache / f"base-{SUITE}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(f".{os.getpid()}.tar")
        _bootstrap(["--variant=minbase", f"--include={PACKAGES}", SUITE, str(unfinished)])
        unfinished.replace(archive)
    docker.call("import", archive, BASE)


def _bootstrap(arguments: Sequence[str]) -> None:
    lean = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")]
    command = [require("mmdebstrap", "mmdebstrap"), *lean, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
