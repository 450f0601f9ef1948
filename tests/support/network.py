"""A network namespace behind a cable that can be pulled: for a run that loses its network, not only a connection."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from support.needs import missing


@dataclass(frozen=True)
class Cable:
    """Both ends of a cable between this machine and a namespace of its own.

    Attributes:
        address: This machine's end, as the namespace reaches it.
    """

    namespace: str
    device: str
    address: str

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command that runs another one in the namespace."""
        return ("ip", "netns", "exec", self.namespace, *command)

    def pull(self) -> None:
        """Packets are lost from now on, in both directions, and nobody is told."""
        _ip("link", "set", self.device, "down")

    def plug(self) -> None:
        """Packets pass again."""
        _ip("link", "set", self.device, "up")


@contextmanager
def cable() -> Iterator[Cable]:
    """A namespace with one cable, removed with everything in it."""
    name = f"nbs{secrets.token_hex(3)}"
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        missing("network-namespaces", "a network namespace cannot be made here")
    number = secrets.randbelow(250) + 1
    here, there = f"198.18.{number}.1", f"198.18.{number}.2"  # RFC 2544: for tests of networks
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{here}/30", "dev", name)
        _ip("-n", name, "address", "add", f"{there}/30", "dev", "eth0")
        for link in (("link", "set", name, "up"), ("-n", name, "link", "set", "eth0", "up")):
            _ip(*link)
        yield Cable(name, name, here)
    finally:
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
