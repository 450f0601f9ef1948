"""What a server's answer says of an object, and what the answers and failures of HTTP mean for a run."""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime

import httpx

from nbstep_runner.errors import BadInputError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores.statuses import explained
from nbstep_runner.stores.tries import TransientError, seconds_asked


def version_of(response: httpx.Response) -> str | None:
    """The entity tag, or else the time of the last change with the length."""
    headers = response.headers
    if headers.get("ETag"):
        return str(headers["ETag"])
    changed, length = headers.get("Last-Modified"), headers.get("Content-Length")
    return f"time:{changed}:{length}" if changed and length else None


def time_of(response: httpx.Response) -> float | None:
    """When the object was last changed, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()
    except (KeyError, ValueError):
        return None


def require(response: httpx.Response, wanted: frozenset[int] | set[int], doing: str) -> None:
    """Raise what a status means that is none of those wanted."""
    status = response.status_code
    if status in wanted:
        return
    if status == 405:
        raise StorageDeniedError(f"The server does not allow {doing} (405).", hint="Use a server that allows it.")
    if status == 507:
        raise StorageUnavailableError(f"The server has no room left for {doing} (507).", hint="Free some space there.")
    asked = seconds_asked(response.headers.get("Retry-After"))
    raise explained(status, doing, response.reason_phrase, retry_after=asked)


def check_digests(response: httpx.Response, data: bytes) -> None:
    """Compare with ``Repr-Digest`` or ``Content-Digest`` (RFC 9530), or the older ``Content-MD5`` (RFC 1864)."""
    named = ",".join(response.headers.get(name, "") for name in ("Repr-Digest", "Content-Digest"))
    sha256 = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", named)
    md5 = response.headers.get("Content-MD5")
    if sha256 and base64.b64decode(sha256[1]) != hashlib.sha256(data).digest():
        raise TransientError("the object arrived damaged: its SHA-256 does not match")
    if md5 and base64.b64decode(md5) != hashlib.md5(data, usedforsecurity=False).digest():
        raise TransientError("the object arrived damaged: its MD5 does not match")


def translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of httpx's; other exceptions stay what they are."""
    if isinstance(error, httpx.TimeoutException):
        return TransientError("the transfer stalled")
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "If its authority is your own, name its certificates in SSL_CERT_FILE."
        return StorageDeniedError(f"The certificate of the server is not trusted, {doing}.", hint=hint)
    if isinstance(error, httpx.TransportError):
        return TransientError(f"{type(error).__name__}: {error}"[:200])
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return BadInputError("The URI is not valid.", hint="Check its host and port.", context=doing)
    return error
