"""What a server's answer says of an object, and what the answers and failures of HTTP mean for a run."""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from nbstep_runner.errors import BadInputError, StorageDeniedError
from nbstep_runner.stores.retrying import TransientError, seconds_asked
from nbstep_runner.stores.statuses import NO_TLS, explained

_PAGE: Final = 1 << 14
_TLS_ALERT: Final = r"\x15\x03"
"""How httpx shows the first bytes of an answer that is an alert of TLS."""


def version_of(response: httpx.Response) -> str | None:
    """The entity tag, or else the time of the last change with the length; nothing where the tag is weak."""
    headers = response.headers
    tag = str(headers.get("ETag", ""))
    if tag:
        return None if is_weak(tag) else tag
    changed, length = headers.get("Last-Modified"), headers.get("Content-Length")
    return f"time:{changed}:{length}" if changed and length else None


def is_weak(tag: str) -> bool:
    """Whether a server says that objects of other bytes may have the same entity tag (RFC 9110, 8.8.1)."""
    return tag.startswith("W/")


def time_of(response: httpx.Response) -> float | None:
    """When the object was last changed, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def require(response: httpx.Response, wanted: frozenset[int] | set[int], doing: str) -> None:
    """Raise what a status means that is none of those wanted."""
    status = response.status_code
    if status in wanted:
        return
    if status == 400 and response.url.scheme == "http" and b"HTTPS" in _beginning(response):
        raise _other_protocol("https", doing)
    asked = seconds_asked(response.headers.get("Retry-After"))
    raise explained(status, doing, response.reason_phrase, retry_after=asked)


def _beginning(response: httpx.Response) -> bytes:
    """Of a body that has not been read, where it is short; nothing where the connection fails."""
    try:
        return next(response.iter_raw(_PAGE), b"")
    except (httpx.HTTPError, httpx.StreamError):
        return b""


def _other_protocol(scheme: str, doing: str) -> BadInputError:
    speaks = "speaks TLS, and was asked without" if scheme == "https" else "does not speak TLS"
    return BadInputError(f"The server {speaks}, {doing}.", hint=f"Write {scheme}://.", context=doing)


def check_digests(response: httpx.Response, data: bytes) -> None:
    """Compare with ``Repr-Digest`` or ``Content-Digest`` (RFC 9530), or the older ``Content-MD5`` (RFC 1864)."""
    named = ",".join(response.headers.get(name, "") for name in ("Repr-Digest", "Content-Digest"))
    found = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", named)
    if _differs(found[1] if found else "", hashlib.sha256(data).digest()):
        raise TransientError("the object arrived damaged: its SHA-256 does not match")
    if _differs(response.headers.get("Content-MD5", ""), hashlib.md5(data, usedforsecurity=False).digest()):
        raise TransientError("the object arrived damaged: its MD5 does not match")


def _differs(header: str, digest: bytes) -> bool:
    """Whether a header names another digest; what is no digest of that kind names none."""
    try:
        named = base64.b64decode(header, validate=True)
    except ValueError:
        return False
    return len(named) == len(digest) and named != digest


def translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of httpx's; other exceptions stay what they are."""
    said, meaning = str(error), error
    if isinstance(error, httpx.TimeoutException):
        meaning = TransientError("the transfer stalled")
    elif isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in said:
        hint = "If its authority is your own, name its certificates in SSL_CERT_FILE."
        meaning = StorageDeniedError(f"The certificate of the server is not trusted, {doing}.", hint=hint)
    elif isinstance(error, httpx.ConnectError) and any(mark in said for mark in NO_TLS):
        meaning = _other_protocol("http", doing)
    elif isinstance(error, httpx.RemoteProtocolError) and _TLS_ALERT in said:
        meaning = _other_protocol("https", doing)
    elif isinstance(error, httpx.TransportError):
        meaning = TransientError(f"{type(error).__name__}: {error}"[:200])
    elif isinstance(error, httpx.InvalidURL | UnicodeError):
        meaning = BadInputError("The URI is not valid.", hint="Check its host and port.", context=doing)
    return meaning
