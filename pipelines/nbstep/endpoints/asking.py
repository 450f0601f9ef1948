"""One request to an endpoint; the problem that it answers becomes an error of ours."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any

import msgspec

from nbstep.errors import EndpointUnavailableError, error_of
from nbstep_runner.contract import ErrorInfo
from nbstep_runner.errors import NbstepError

SECONDS = 90.0
"""Longer than an endpoint's own limit for a request, so that it is the endpoint that says so."""


def ask_url(url: str, body: bytes | None) -> bytes:
    """GET a URL, or POST JSON to it; no proxy of the environment stands between.

    Raises:
        EndpointUnavailableError: Nothing answers, or it has too much to do.
        NbstepError: What the endpoint says is wrong.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - http, by its caller
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise problem(error.code, error.read()) from None
    except (OSError, http.client.HTTPException) as error:
        raise EndpointUnavailableError(f"the endpoint does not answer at {url}: {error}") from error


def problem(status: int, body: bytes) -> NbstepError:
    """The error that an endpoint's answer tells of."""
    try:
        told: Any = msgspec.json.decode(body)
        message, reference = str(told["error"]), str(told["reference"])
    except (msgspec.DecodeError, TypeError, KeyError):
        message, reference = body[:200].decode("utf-8", "replace"), ""
    if status in (502, 503) or not reference:
        return EndpointUnavailableError(f"the endpoint answers {status}: {message}")
    hint = {"bad-input": "The page of the endpoint, or its openapi.json, says what it takes."}.get(
        reference, "The endpoint's log says more: endpoint.logs()."
    )
    return error_of(ErrorInfo(reference=reference, message=message, hint=hint))
