"""A token kept in a browser: a page that asks for one, a cookie that has it, and a page that takes it away again.

A form that is sent once its session has ended is kept in the page that asks, and sent again by the browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nbstep.server.access import SAFE
from nbstep.server.bodies import CARRIED_BYTES, carried, read_fields
from nbstep.server.config import Config
from nbstep.server.pages.rendering import HEADERS, SIGNED_IN, templates
from nbstep.server.team.identity import Identity

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

PATH: Final = "/sign-in"
OUT: Final = "/sign-out"
TOKEN, WANTED, AGAIN = "token", "wanted", "sign-in.again"
"""The fields of the page's form: the token, where it leads, and that it leads there with all its other fields."""
KEPT_AT_ONCE: Final = 2
"""How many large forms of callers who are not known are read at once: each is held in memory."""
FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")


class SignIn:
    """Asks for a token, and gives it to the browser to keep until it is closed.

    Args:
        config: The server's.
        known: Tells who has a token.
    """

    def __init__(self, config: Config, known: Callable[[str], Awaitable[Identity | None]]) -> None:
        self._limits = config.limits
        self._most = min(CARRIED_BYTES, config.limits.upload_bytes)
        self._is_secure = (config.url or "").startswith("https:")
        self._known = known
        self._keeping = CapacityLimiter(KEPT_AT_ONCE)
        self._template = templates().get_template("sign-in.html")
        self._out = templates().get_template("sign-out.html")

    async def instead(self, scope: Scope, receive: Receive) -> Response:
        """The page that asks, in the place of what was asked for; it keeps a form that one of our pages has sent.

        Raises:
            Problem: The form is too large or too slow.
        """
        sent = Headers(scope=scope).get("content-type", "").startswith(FORMS)
        if scope["method"] in SAFE or not sent or not self._keeping.available_tokens:
            return self._page(scope, _wanted(scope))
        fields = await self._fields(scope, receive)
        kept = {name: value for name, value in fields.items() if name not in (TOKEN, WANTED, AGAIN)}
        return self._page(scope, _wanted(scope), kept=kept)

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to a form with a token, or to one that wants it forgotten.

        Raises:
            Problem: It is too large or too slow.
        """
        if scope["path"].removeprefix(scope["root_path"]) == OUT:
            return self._signed_out(scope)
        if scope["method"] in SAFE:
            return self._page(scope, "/")
        fields = await self._fields(scope, receive)
        token = fields.pop(TOKEN, "").strip()
        wanted = "/" + fields.pop(WANTED, "").lstrip("/\\")  # two slashes would name another host
        again = fields.pop(AGAIN, None)
        if await self._known(token) is None:
            return self._page(scope, wanted, wrong=True, kept=None if again is None else fields)
        base = scope["root_path"]
        status = 303 if again is None else 307  # with which the browser sends the same form there
        answer = RedirectResponse(f"{base}{wanted}", status, HEADERS)
        self._set(answer, base, token, None)
        return answer

    def _page(
        self, scope: Scope, wanted: str, *, wrong: bool = False, kept: Mapping[str, str] | None = None
    ) -> Response:
        """The page that asks."""
        unsent = scope["method"] not in SAFE and not wrong
        text = self._template.render(
            base=scope["root_path"], wanted=wanted, wrong=wrong, kept=kept, unsent=unsent, again=AGAIN
        )
        return Response(text, 401, HEADERS | {"WWW-Authenticate": "Bearer"}, "text/html")

    async def _fields(self, scope: Scope, receive: Receive) -> dict[str, str]:
        """The fields of a form; of a file, those that carry it. Those that may be large wait for one another."""
        request, small = Request(scope, receive), self._limits.body_bytes
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > small:
            async with self._keeping:
                fields, file = await read_fields(request, self._limits, self._most)
        else:
            fields, file = await read_fields(request, self._limits, small)
        return fields | carried(fields["name"], file) if file else fields

    def _signed_out(self, scope: Scope) -> Response:
        """The page that asks whether to, or its answer: only a request that changes something takes the cookie away."""
        base = scope["root_path"]
        if scope["method"] not in SAFE:
            answer = RedirectResponse(f"{base}{PATH}", 303, HEADERS)
            self._set(answer, base, "", 0)
            return answer
        return Response(self._out.render(base=base), 200, HEADERS, "text/html")

    def _set(self, answer: Response, base: str, token: str, seconds: int | None) -> None:
        """Have the browser keep a token for that long; until it is closed if ``None``."""
        answer.set_cookie(
            SIGNED_IN, token, seconds, path=base or "/", secure=self._is_secure, httponly=True, samesite="lax"
        )


def _wanted(scope: Scope) -> str:
    """The address that was asked for, below the server's prefix."""
    path: str = scope["path"].removeprefix(scope["root_path"])
    query = scope["query_string"].decode("latin-1")
    return path + (f"?{query}" if query else "")
