"""Where endpoints run: what each place has to be able to do, and how one is asked."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol, cast

import msgspec

from nbstep.backends.protocol import Plan, Status
from nbstep.backends.registry import backend_named, names
from nbstep.endpoints.plan import Deployment
from nbstep.errors import EndpointUnavailableError, WaitTimeoutError, error_of
from nbstep.profiles import Profile
from nbstep_runner.contract import ErrorInfo, RunResult, moment_of
from nbstep_runner.errors import NbstepError, UsageError

LOOPBACK: Final = "127.0.0.1"
IN_CONTAINER: Final = ("0.0.0.0", 8080)  # noqa: S104 - a container's own addresses
END_SECONDS: Final = 180.0
"""How long an endpoint may take to end: well past any usual grace period."""
LOOK_SECONDS: Final = 0.2
ASK_SECONDS: Final = 90.0
"""Longer than an endpoint's own limit for a request, so that it is the endpoint that says so."""


def begun_before(record: RunResult, since: str) -> bool:
    """Whether a record is that of a start before the one that its place says runs since then, or says no time."""
    started, other = moment_of(record.started_at), moment_of(since)
    return started is None or (other is not None and started < other)


def await_end(runs: Callable[[], object], name: str) -> None:
    """Wait until an endpoint runs no more.

    Raises:
        WaitTimeoutError: It does, after :data:`END_SECONDS`.
    """
    deadline = time.monotonic() + END_SECONDS
    while runs():
        if time.monotonic() > deadline:
            raise WaitTimeoutError(
                f"{name} has not ended after {END_SECONDS:g} s, and its files are left as they are",
                hint="Look at what holds it up, and delete it again.",
            )
        time.sleep(LOOK_SECONDS)


class Host(Protocol):
    """A place where endpoints run."""

    def listens(self, profile: Profile, port: int) -> tuple[str, int]:
        """The address and the port that the served notebook itself listens on.

        Args:
            profile: Where and with what it runs.
            port: The one that is asked for; 0 is any.
        """

    def plan(self, deployment: Deployment) -> Plan:
        """What :meth:`start` would send; asks nobody and changes nothing."""

    def start(self, plan: Plan) -> None:
        """Start a revision, or find it started. Where the place can, it takes over from the one before."""

    def status(self, handle: str, revision: str) -> Status:
        """How the revision stands: ``running`` once it answers and no older one does, ``ended`` once it never will."""

    def url(self, handle: str, record: RunResult | None) -> str:
        """Where it is reached; empty while that is not known. ``record`` is of its newest start."""

    def ask(self, handle: str, url: str, path: str, body: bytes | None) -> bytes:
        """Ask it: GET without a body, POST of JSON with one.

        Raises:
            EndpointUnavailableError: It does not answer, or has too much to do.
            NbstepError: It answers with a problem.
        """
        del handle
        return ask_url(f"{url}/{path}", body)

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The lines of its newest start's log."""

    def remove(self, handle: str) -> None:
        """End it, with its grace period, and take away all that the place has of it; returns when it has ended.

        Raises:
            WaitTimeoutError: It has not ended after :data:`END_SECONDS`, as on a node that does not answer.
        """


@cache
def host_named(name: str) -> Host:
    """The host of the backend that ``on=`` names.

    Raises:
        UsageError: Nothing can be served there, or its packages are not installed.
    """
    place = _place(name)
    if not place:
        serving = [each for each in names() if _serves(each)]
        raise UsageError(f"nothing can be served on {name!r}", hint=f"It is one of {', '.join(serving)}.")
    module, _, attribute = place.partition(":")
    return cast("Host", getattr(import_module(module), attribute)())


def _place(name: str) -> str:
    return getattr(backend_named(name), "endpoints", "") if name in names() else ""


def _serves(name: str) -> bool:
    with suppress(ImportError, UsageError):  # a backend that is not whole is none to offer
        return bool(_place(name))
    return False


def ask_url(url: str, body: bytes | None) -> bytes:
    """GET a URL, or POST JSON to it; no proxy of the environment stands between.

    Raises:
        EndpointUnavailableError: Nothing answers, or it has too much to do.
        NbstepError: What the endpoint says is wrong.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - http, by its caller
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ASK_SECONDS) as answer:
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
