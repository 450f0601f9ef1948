"""versitygw, an S3 gateway to a folder: signatures, preconditions, versions of objects and TLS are real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session

from servers.ports import LOOPBACK, free_port, require, start, stop

KEY, SECRET = "nbstep-tests", "nbstep-tests-s3cret"


@dataclass(frozen=True)
class GatewayServer:
    """A running gateway.

    Attributes:
        pid: Its process.
        root: Where each bucket is a folder, and each object a file.
        certificate: Its own, where it speaks TLS.
    """

    port: int
    root: Path
    pid: int
    certificate: Path | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{LOOPBACK}:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What a client's process needs, possibly to reach it through a proxy."""
        return environment(endpoint or self.endpoint)

    def client(self) -> Any:
        return client(self.endpoint, verify=str(self.certificate) if self.certificate else None)

    def make_bucket(self, name: str) -> None:
        self.client().create_bucket(Bucket=name)


def environment(endpoint: str) -> dict[str, str]:
    """For botocore, with the keys of this module."""
    return {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(endpoint: str, *, verify: str | None = None) -> Any:
    session = botocore.session.get_session()
    session.set_credentials(KEY, SECRET)
    return session.create_client("s3", "us-east-1", endpoint_url=endpoint, verify=verify)


@contextmanager
def running(
    folder: Path, *flags: str, tls: tuple[Path, Path] | None = None, address: str = LOOPBACK
) -> Iterator[GatewayServer]:
    """A gateway to a folder of its own.

    Args:
        folder: For its files.
        address: Where it listens; everywhere if empty.
        flags: Of the backend, such as ``--versioning-dir``.
        tls: Key and certificate.
    """
    binary = require("versitygw", "versitygw; .ci/run unpacks a release")
    port, root = free_port(), folder / "root"
    root.mkdir()
    secure = ("--cert", str(tls[1]), "--key", str(tls[0])) if tls else ()
    own = ("--access", KEY, "--secret", SECRET, "--port", f"{address}:{port}", *secure)
    process = start([binary, *own, "posix", *flags, str(root)], port, folder / "versitygw.log")
    try:
        yield GatewayServer(port, root, process.pid, tls[1] if tls else None)
    finally:
        stop(process)
