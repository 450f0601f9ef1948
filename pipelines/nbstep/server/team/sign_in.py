"""A token kept in a browser: a page that asks for one, a cookie that has it, and a page that takes it away again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nbstep.server.bodies import read_form
from nbstep.server.config import Config
from nbstep.server.rendering import HEADERS, SIGNED_IN, templates
from nbstep.server.team.identity import Identity

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

PATH: Final = "/sign-in"
OUT: Final = "/sign-out"


class SignIn:
    """Asks for a token, and gives it to the browser to keep until it is closed.

    Args:
        config: The server's.
        known: Tells who has a token.
    """

    def __init__(self, config: Config, known: Callable[[str], Awaitable[Identity | None]]) -> None:
        self._limits = config.limits
        self._is_secure = (config.url or "").startswith("https:")
        self._known = known
        self._template = templates().get_template("sign-in.html")
        self._out = templates().get_template("sign-out.html")

    def page(self, scope: Scope, *, wrong: bool = False) -> Response:
        """The page that asks, in the place of the one that was asked for."""
        path = scope["path"].removeprefix(scope["root_path"])
        query = scope["query_string"].decode("latin-1")
        wanted = path + (f"?{query}" if query else "")
        text = self._template.render(base=scope["root_path"], wanted="/" if path == PATH else wanted, wrong=wrong)
        return Response(text, 401, HEADERS | {"WWW-Authenticate": "Bearer"}, "text/html")

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to a form with a token, or to one that wants it forgotten.

        Raises:
            Problem: It is too large or too slow.
        """
        if scope["path"].removeprefix(scope["root_path"]) == OUT:
            return self._signed_out(scope)
        if scope["method"] != "POST":
            return self.page(scope)
        given = await read_form(Request(scope, receive), self._limits)
        token = given.get("token", "").strip()
        if await self._known(token) is None:
            return self.page(scope, wrong=True)
        base = scope["root_path"]
        wanted = "/" + given.get("wanted", "").lstrip("/\\")  # two slashes would name another host
        answer = RedirectResponse(f"{base}{wanted}", 303, HEADERS)
        self._set(answer, base, token, None)
        return answer

    def _signed_out(self, scope: Scope) -> Response:
        """The page that asks whether to, or its answer: only a request that changes something takes the cookie away."""
        base = scope["root_path"]
        if scope["method"] != "POST":
            return Response(self._out.render(base=base), 200, HEADERS, "text/html")
        answer = RedirectResponse(f"{base}{PATH}", 303, HEADERS)
        self._set(answer, base, "", 0)
        return answer

    def _set(self, answer: Response, base: str, token: str, seconds: int | None) -> None:
        """Have the browser keep a token for that long; until it is closed if ``None``."""
        answer.set_cookie(
            SIGNED_IN, token, seconds, path=base or "/", secure=self._is_secure, httponly=True, samesite="lax"
        )
