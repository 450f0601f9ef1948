"""What answers of Google's services and failures of the network mean: pass and retry, or the error that a user sees."""

from __future__ import annotations

import http.client
from typing import Any, Final

import requests
import urllib3

from nbstep_runner.errors import StorageDeniedError
from nbstep_runner.stores.retrying import TransientError, seconds_asked
from nbstep_runner.stores.statuses import explained

CONNECTION: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)
"""What the client raises where the network failed, or an answer was damaged on its way."""
_RATE_LIMITS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_DAMAGED: Final = ("crc32c", "md5")


class SessionGoneError(Exception):
    """The store has forgotten an upload in parts: another try of a part cannot succeed, one of the whole can."""


def answered(response: Any, doing: str) -> Exception:
    """The error for a response that is no success."""
    message, reason = _said(response)
    if doing.startswith("writing") and response.request.method == "PUT" and response.status_code in {404, 410}:
        return SessionGoneError("the store has forgotten the upload, which is begun anew")
    if response.status_code == 403 and reason in _RATE_LIMITS:
        return TransientError(f"the store limits the rate of requests ({reason})")
    if response.status_code == 400 and any(word in message.lower() for word in _DAMAGED):
        return TransientError("the object was damaged on its way: the store computed another checksum")
    asked = seconds_asked(response.headers.get("Retry-After"))
    return explained(response.status_code, doing, message, retry_after=asked)


def _said(response: Any) -> tuple[str, str]:
    """The message and the reason in the body of an error, where it is Google's JSON."""
    try:
        error = response.json()["error"]
        return str(error["message"]), str(error["errors"][0].get("reason", ""))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""


def no_credentials(doing: str) -> StorageDeniedError:
    """The error where no application default credentials are."""
    return StorageDeniedError(
        "No Google credentials were found.",
        hint="Give the pod a service account with workload identity, or set GOOGLE_APPLICATION_CREDENTIALS.",
        context=doing,
    )


def unauthenticated(error: Exception, doing: str, *, may_pass: bool) -> Exception:
    """The error where the token service gave no token."""
    if may_pass:
        return TransientError(f"no token could be had: {in_words(error)}")
    return StorageDeniedError(
        f"Google's token service refuses the credentials: {in_words(error)}.",
        hint="Check the service account, and that its workload identity binding names this namespace and account.",
        context=doing,
    )


def in_words(error: Exception) -> str:
    """The first line of an exception, without what client libraries add to theirs."""
    if isinstance(error, requests.Timeout | TimeoutError | urllib3.exceptions.TimeoutError):
        return "the transfer stalled"
    text = str(error.args[0] if error.args else error).splitlines()
    if text and "timed out" in text[0]:  # requests wraps a time-out while it reads an answer
        return "the transfer stalled"
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
