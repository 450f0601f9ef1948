"""Where a kernel listens: ipc sockets in a private folder, or loopback TCP for kernels that know nothing else.

The connection file's fields are those of the Jupyter messaging documentation ("Connection files").
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

CHANNELS: Final = ("shell", "iopub", "stdin", "control", "hb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A kernel's five addresses and the key that signs its messages.

    Attributes:
        file: The connection file, readable by its owner alone, in the kernel's private folder.
    """

    file: Path
    transport: str
    ip: str
    ports: dict[str, int]
    key: str

    def address(self, channel: str) -> str:
        """The ZMQ address of a channel."""
        separator = "-" if self.transport == "ipc" else ":"
        return f"{self.transport}://{self.ip}{separator}{self.ports[channel]}"


def prepare(folder: Path, *, ipc: bool) -> Connection:
    """Choose addresses and write the connection file into ``folder``, which must be private (mode 0700)."""
    connection = Connection(
        file=folder / "connection.json",
        transport="ipc" if ipc else "tcp",
        ip=str(folder / "socket") if ipc else "127.0.0.1",
        ports=dict(zip(CHANNELS, range(1, 6) if ipc else _free_ports(len(CHANNELS)), strict=True)),
        key=os.urandom(32).hex(),
    )
    fields = {f"{channel}_port": port for channel, port in connection.ports.items()}
    connection.file.touch(mode=0o600)
    connection.file.write_bytes(
        msgspec.json.encode(
            fields
            | {
                "transport": connection.transport,
                "ip": connection.ip,
                "key": connection.key,
                "signature_scheme": "hmac-sha256",
            }
        )
    )
    return connection


def _free_ports(count: int) -> list[int]:
    """Ports that were free together a moment ago; a kernel that loses the race for one dies at its start."""
    import socket

    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
