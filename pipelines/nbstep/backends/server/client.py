"""One service over HTTP: requests tried again while it is away, answers of bounded size, a token kept to it."""

from __future__ import annotations

import logging
import random
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from nbstep.backends.server.answers import error_told
from nbstep.errors import ServiceDeniedError, ServiceUnavailableError
from nbstep.profiles import ServiceOptions
from nbstep_runner.errors import BadInputError, NbstepError

_LOG: Final = logging.getLogger("nbstep")
PROBLEM_BYTES: Final = 2**16
JSON_BYTES: Final = 2**26
"""Of an answer that is not an object of a run."""
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
REQUEST_TIMEOUT: Final = httpx.Timeout(180.0, connect=10.0)
"""For what starts a run: longer than a service's own deadline, so that it is the service that says so."""
STREAM_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
"""A service says something at least every 15 s."""
PASSING: Final = frozenset({429, 502, 503, 504})
LONGEST_WAIT: Final = 60.0
"""Seconds that a service is left alone for where it asks for that, however long it asks for."""
FIRST_PAUSE: Final = 0.125
LONGEST_PAUSE: Final = 5.0
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
TOLD_AFTER: Final = 3
"""Tries without an answer after which whoever waits is told, once in an outage."""


class AwayError(Exception):
    """A failure that another try may not have.

    Attributes:
        error: What the caller is told if it has.
        retry_after: Seconds that the service asked to be left alone for.
    """

    def __init__(self, error: NbstepError, retry_after: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after


class Patience:
    """How long what cannot be had now is asked for again, at growing distances.

    Args:
        seconds: From the first failure since something last came.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Something has come: the next failure is a first one."""
        self._since: float | None = None
        self._failures = 0

    def wait(self, away: AwayError) -> None:
        """Sleep until it is time to try again.

        Raises:
            NbstepError: What the failure tells, once the patience is over.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            raise away.error from None
        self._failures += 1
        if self._failures == TOLD_AFTER:
            _LOG.warning("%s; trying for up to %.0f s", away, self._seconds)
        growing = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        time.sleep(max(away.retry_after, random.uniform(growing / 2, growing)))  # noqa: S311 - many must not come at once


class Service:
    """A service.

    Args:
        options: Where it is, and whose token is sent there.
        patience: Seconds that one which does not answer is tried again.

    Every call raises ``ServiceUnavailableError`` past the patience, ``ServiceDeniedError`` where it may not be made,
    and otherwise the error that the service tells of. Redirects are not followed: the token is for this address alone.
    """

    def __init__(self, options: ServiceOptions, patience: float) -> None:
        self.url = options.url
        self.patience = patience
        self._token = options.token
        # A proxy of the environment may stand between where TLS keeps the token from it.
        self._http = httpx.Client(follow_redirects=False, trust_env=self.url.startswith("https:"))

    def get(self, path: str, query: Mapping[str, str], most: int = JSON_BYTES) -> bytes:
        """What lies at a path of the interface, at most so many bytes."""
        return self._asked("GET", path, most, params=query, timeout=TIMEOUT)

    def post(self, path: str, query: Mapping[str, str], **content: Any) -> bytes:
        """The answer to a request that changes something, which is the same however often it arrives.

        Args:
            path: Of the interface.
            query: Of the address.
            content: As httpx takes it: ``content``, or ``data`` and ``files``.
        """
        return self._asked("POST", path, JSON_BYTES, params=query, timeout=REQUEST_TIMEOUT, **content)

    @contextmanager
    def stream(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """An answer as it comes, from one try.

        Raises:
            AwayError: It cannot be had now, or broke off.
            NbstepError: It cannot be had at all.
        """
        accepted = {"Accept": "text/event-stream", **headers}
        with self._answer("GET", path, params=query, headers=accepted, timeout=STREAM_TIMEOUT) as answer:
            yield answer.iter_bytes()

    def _asked(self, method: str, path: str, most: int, **request: Any) -> bytes:
        patience = Patience(self.patience)
        while True:
            try:
                with self._answer(method, path, **request) as answer:
                    return self._bounded(answer, most)
            except AwayError as away:
                patience.wait(away)

    @contextmanager
    def _answer(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        request["headers"] = {**self._authorization(), **request.get("headers", {})}
        try:
            with self._http.stream(method, f"{self.url}{path}", **request) as answer:
                if not answer.is_success:
                    raise self._failure(answer)
                yield answer
        except httpx.RequestError as error:
            raise self._away(error) from error

    def _authorization(self) -> dict[str, str]:
        """Read anew each time: a token in a file may be replaced by a newer one."""
        if self._token is None:
            return {}
        try:
            token = self._token.reference.value().strip()
        except BadInputError as error:
            hint = "The profile names it as server.token: give it to this process."
            raise BadInputError(error.message, hint=hint) from None
        if not _TOKEN.fullmatch(token):
            raise BadInputError(f"what {self._token.secret} holds is no token", hint="A token is one word of ASCII.")
        return {"Authorization": f"Bearer {token}"}

    def _failure(self, answer: httpx.Response) -> Exception:
        if answer.is_redirect:
            return ServiceDeniedError(
                f"the service at {self.url} sends requests on to another address, and nothing is sent there",
                hint="Name in the profile, as server.url, the address that answers itself.",
            )
        body = self._bounded(answer, PROBLEM_BYTES)
        error = error_told(answer.status_code, body, self.url)
        return AwayError(error, _retry_after(answer)) if answer.status_code in PASSING else error

    def _bounded(self, answer: httpx.Response, most: int) -> bytes:
        """The whole body.

        Raises:
            ServiceUnavailableError: It is larger than any that is asked for.
        """
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > most:
                raise ServiceUnavailableError(
                    f"the service at {self.url} answers with more than {most} bytes", hint="Ask whoever runs it."
                )
        return bytes(body)

    def _away(self, error: httpx.RequestError) -> Exception:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ServiceDeniedError(
                    f"the certificate of {self.url} is not trusted: {cause.verify_message}",
                    hint="Name the authority that signed it in SSL_CERT_FILE.",
                )
            cause = cause.__cause__ or cause.__context__
        reason = str(error) or type(error).__name__
        return AwayError(ServiceUnavailableError(f"the service at {self.url} does not answer: {reason}"))


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdigit() else 0.0
