"""How stores are reached, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STANDARD_STREAM: Final = "-"
"""As an input standard input, as an output standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOptions:
    """How stores behave for this run.

    Attributes:
        retry_seconds: The total time that one operation may spend on retries.
        allow_private_addresses: Let ``http(s)`` reach loopback, link-local and private addresses.
        project: The project billed for requester-pays buckets.
        endpoint_url: Another endpoint for ``s3://``.
        conditional_writes: Whether the server of ``s3://`` checks ``If-None-Match`` and ``If-Match``; it is found out,
            at the cost of two requests, when ``None``.
        known_hosts: The file of host keys for ``sftp://``; OpenSSH's usual ones when ``None``.
        identity_file: The private key for ``sftp://``; the agent and OpenSSH's usual ones when ``None``.
    """

    retry_seconds: float = 120.0
    allow_private_addresses: bool = False
    project: str | None = None
    endpoint_url: str | None = None
    conditional_writes: bool | None = None
    known_hosts: str | None = None
    identity_file: str | None = None
