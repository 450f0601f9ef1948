"""Who may ask a server on this machine: whoever has its token, from this machine, and no page of another site."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response

from nbstep.server.callers import let_in
from nbstep.server.pages.rendering import refused
from nbstep.server.problems import Problem, forbidden, token_missing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
"""How this machine is named by itself alone, as ``Host`` has it."""
SAFE: Final = frozenset({"GET", "HEAD"})
OPEN: Final = frozenset({"/healthz", "/readyz"})
"""What is answered without a token: whether the server lives, and nothing else."""
PARAMETER: Final = "token"


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class LocalAccess:
    """Lets requests through to an application that have a token, and tells it who asks.

    A request is refused whose ``Host`` is no name of loopback, because a page of another site can make its own name
    point here, and one whose ``Origin`` is another than the server's own. A browser sends cookies with whatever asks:
    a request that has no more than a cookie and changes something must come from the server's own pages.

    Attributes:
        app: What is protected.
        token: What a request has to have, as ``?token=``, as a bearer token or in the cookie.
        caller: Whoever has it.
    """

    app: ASGIApp
    token: str
    caller: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            answer = self._answer(scope)
        except Problem as problem:
            answer = refused(scope, problem)
        if answer is not None:
            await answer(scope, receive, send)
            return
        let_in(scope, self.caller, lambda _folder, _right: True)
        await self.app(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        """What answers the request in the application's place; ``None`` where it may pass.

        Raises:
            Problem: It may not.
        """
        headers = Headers(scope=scope)
        own = _own_origin(scope, headers)
        origin = headers.get("origin")
        if origin is not None and origin != own:
            raise _forbidden("a page of another site asks")
        if scope["path"] in OPEN:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == PARAMETER]
        if self._fits(headers.get("authorization", "").removeprefix("Bearer ")):
            return None
        if given and self._fits(given[0]):
            is_page = scope["method"] in SAFE and "text/html" in headers.get("accept", "")
            return self._remember(scope, query) if is_page else None
        if not self._fits(cookie(headers, _cookie_name(own))):
            hint = "Open the address that `nbstep ui` printed, or send its token as Authorization: Bearer TOKEN."
            if scope["method"] not in SAFE:
                hint += " Once that address is open in another tab, load this page again: what was sent is sent again."
            raise token_missing("the request has no token, or another server's", hint)
        if scope["method"] not in SAFE and origin is None:
            raise _forbidden("a cookie alone changes nothing: the request does not say that it comes from this site")
        return None

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _remember(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """Keep the token in a cookie and take it out of the address, which histories and logs keep."""
        rest = urlencode([(name, value) for name, value in query if name != PARAMETER])
        path = "/" + scope["path"].lstrip("/")  # two slashes would name another host
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303, {"Cache-Control": "no-store"})
        name = _cookie_name(_own_origin(scope, Headers(scope=scope)))
        answer.set_cookie(name, self.token, httponly=True, samesite="lax")
        return answer


def _own_origin(scope: Scope, headers: Headers) -> str:
    """The origin by which the request names this server.

    Raises:
        Problem: It is none of this machine's.
    """
    host = headers.get("host", "")
    if not LOOPBACK.fullmatch(host):
        raise _forbidden(f"this server answers on this machine alone, not as {host!r}")
    return f"{scope['scheme']}://{host}"


def _cookie_name(origin: str) -> str:
    """A name of its own for each port: cookies do not tell servers of one machine apart."""
    return f"nbstep-token-{urlsplit(origin).port or 80}"


def cookie(headers: Headers, name: str) -> str:
    """The value of a cookie; empty if the request has none of that name."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _forbidden(detail: str) -> Problem:
    return forbidden(detail)
