"""What the exceptions of Google's client mean: pass and retry, or the error that a user sees."""

from __future__ import annotations

import http.client
from typing import Any, Final

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from nbstep_runner.errors import StorageDeniedError
from nbstep_runner.stores.retrying import TransientError, seconds_asked
from nbstep_runner.stores.statuses import explained

_CONNECTION: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)
_RATE_LIMITS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_DAMAGED: Final = ("crc32c", "md5")


def translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of the client's; other exceptions stay what they are."""
    if isinstance(error, GoogleAPICallError) and error.response is not None:
        return answered(error.response, doing)
    if isinstance(error, GoogleAuthError):
        return _unauthenticated(error, doing)
    return TransientError(_in_words(error)) if isinstance(error, _CONNECTION) else error


def answered(response: Any, doing: str) -> Exception:
    """The error for a response that is no success."""
    message, reason = _said(response)
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


def _unauthenticated(error: GoogleAuthError, doing: str) -> Exception:
    if isinstance(error, DefaultCredentialsError):
        return StorageDeniedError(
            "No Google credentials were found.",
            hint="Give the pod a service account with workload identity, or set GOOGLE_APPLICATION_CREDENTIALS.",
            context=doing,
        )
    if error.retryable:
        return TransientError(f"no token could be had: {_in_words(error)}")
    return StorageDeniedError(
        f"Google's token service refuses the credentials: {_in_words(error)}.",
        hint="Check the service account, and that its workload identity binding names this namespace and account.",
        context=doing,
    )


def _in_words(error: Exception) -> str:
    """The first line of an exception, without the addresses and objects that client libraries put into theirs."""
    if isinstance(error, requests.Timeout | TimeoutError | urllib3.exceptions.TimeoutError):
        return "the transfer stalled"
    text = str(error.args[0] if error.args else error).splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
