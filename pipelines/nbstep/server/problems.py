"""How a request that failed is told: RFC 9457, with the reference and the hint that every error of nbstep has."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nbstep.backends.server.interface import ProblemTold
from nbstep_runner.errors import NbstepError

MEDIA_TYPE: Final = "application/problem+json"
UNSHARED: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of answers that nobody keeps, takes for something else, or puts into a page of another site."""

STATUSES: Final = {
    "usage": 400,
    "input-not-found": 404,
    "run-not-found": 404,
    "output-conflict": 409,
    "still-running": 409,
    "bad-input": 422,
    "storage-denied": 502,  # it is the server that is denied: nothing about the caller is wrong
    "cluster-denied": 502,
    "storage-unavailable": 503,
    "cluster-unavailable": 503,
}
"""The HTTP status of each error that a request can end with; all others are faults of the server."""

_BY_STATUS: Final = {404: "not-found", 405: "usage", 413: "too-large"}
_SAID: Final = {404: "there is nothing at this address", 405: "this address is not asked in that way"}
"""What Starlette says with the name of the status alone."""


@dataclass(kw_only=True, eq=False)
class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """An answer that is not the one that was asked for.

    Attributes:
        status: The HTTP status.
        reference: One word for programs, the same as in records and on the command line where it means the same.
        detail: What is wrong.
        hint: What to do; empty where there is nothing to say.
    """

    status: int
    reference: str
    detail: str
    hint: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> ProblemTold:
        """The same as JSON."""
        title = HTTPStatus(self.status).phrase
        return ProblemTold(
            title=title, status=self.status, detail=self.detail, reference=self.reference, hint=self.hint
        )

    def response(self) -> Response:
        """The answer that tells it."""
        return Response(msgspec.json.encode(self.told), self.status, {**UNSHARED, **self.headers}, MEDIA_TYPE)


def problem_of(error: NbstepError) -> Problem:
    """The problem that an error of nbstep is to a client."""
    status = STATUSES.get(error.reference, 500)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return Problem(status=status, reference=error.reference, detail=error.message, hint=error.hint, headers=headers)


def usage(detail: str, hint: str = "") -> Problem:
    """The request says what none can."""
    return Problem(status=400, reference="usage", detail=detail, hint=hint)


def forbidden(detail: str, hint: str = "") -> Problem:
    """The caller may not do that, or nobody may."""
    return Problem(status=403, reference="forbidden", detail=detail, hint=hint)


def conflict(detail: str, hint: str = "") -> Problem:
    """Something else is in the place of what is asked for."""
    return Problem(status=409, reference="output-conflict", detail=detail, hint=hint)


def over_limit(detail: str, hint: str = "") -> Problem:
    """It is more than this server takes or gives."""
    return Problem(status=413, reference="too-large", detail=detail, hint=hint)


def bad_input(detail: str, hint: str = "") -> Problem:
    """What the request gives does not fit what it asks for."""
    return Problem(status=422, reference="bad-input", detail=detail, hint=hint)


def not_found(what: str) -> Problem:
    """There is nothing of that name, or nothing that the caller may know of."""
    return Problem(status=404, reference="not-found", detail=f"there is no {what}")


def token_missing(detail: str, hint: str) -> Problem:
    """Nobody is known to ask."""
    headers = {"WWW-Authenticate": "Bearer"}
    return Problem(status=401, reference="token-missing", detail=detail, hint=hint, headers=headers)


def busy(detail: str, seconds: int) -> Problem:
    """What is asked for can be had a little later, after so many seconds."""
    hint, headers = "Come again a little later.", {"Retry-After": str(seconds)}
    return Problem(status=503, reference="busy", detail=detail, hint=hint, headers=headers)


def as_problem(error: Exception) -> Problem:
    """The problem that any error is to a client: of a fault of the server no more than that it is one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NbstepError):
        return problem_of(error)
    if isinstance(error, RecursionError):
        return bad_input("what the request gives is nested too deeply")
    if isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        detail = _SAID.get(status, str(error.detail))
        return Problem(status=status, reference=_BY_STATUS.get(status, "usage"), detail=detail, headers=headers)
    return Problem(status=500, reference="internal", detail="the server failed; its log says how")
