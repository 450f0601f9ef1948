"""Pages made of templates: how a time, a text and values are said, and the policy under which all of them stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import RedirectResponse, Response

from nbstep_runner.page import cut, duration, shown

if TYPE_CHECKING:
    from starlette.requests import Request

TEMPLATES: Final = Path(__file__).with_name("templates")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; frame-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # none at all would take the origin from forms too, by which they are known
    "Cache-Control": "no-store",
}

SIGNED_IN: Final = "nbstep-token"
"""The cookie of a browser that was given a token to keep; pages lead such a browser to where it forgets it."""


def _moment(text: str) -> str:
    """A time of a record for people, in this machine's zone; as it stands where it is none."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return text


def _since_epoch(seconds: float) -> str:
    """A time in seconds since the epoch for people."""
    return _moment(datetime.fromtimestamp(seconds, UTC).isoformat())


def _values(values: dict[str, Any]) -> str:
    return cut(", ".join(f"{name}={cut(shown(value), 40)}" for name, value in values.items()), 200)


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "duration": partial(duration, digits=1),
    "moment": _moment,
    "since_epoch": _since_epoch,
    "short": partial(cut, length=120),
    "value": shown,
    "values": _values,
}
"""How templates say a time, a text and values: as every view does."""


def templates() -> Environment:
    """The templates of all pages: what they are given is text."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.filters.update(FILTERS)
    found.globals |= {"folder": "", "signed_in": False}  # of pages that are of no folder, or asked for by nobody known
    return found


class Rendering:
    """Makes the pages, below the prefix of each request."""

    def __init__(self) -> None:
        self._templates = templates()

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] = MappingProxyType({}),
        **members: Any,
    ) -> Response:
        """A page of a template."""
        text = self._templates.get_template(template).render(
            base=_base(request), signed_in=SIGNED_IN in request.cookies, **members
        )
        return Response(text, status, {**headers, **HEADERS}, "text/html")


def to_run(request: Request, run_id: str, folder: str) -> Response:
    """Leads the browser to a run's page, after a form."""
    return RedirectResponse(f"{_base(request)}/runs/{run_id}?folder={folder}", 303, HEADERS)


def _base(request: Request) -> str:
    base: str = request.scope.get("root_path", "")
    return base
