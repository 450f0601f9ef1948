"""Pages made of templates, how they say times and values, and the policy under which all of them stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

from nbstep.server.callers import Right, allowed
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.problems import UNSHARED, Problem
from nbstep.views.text import visible, visible_line
from nbstep_runner.nonfinite import read
from nbstep_runner.page import cut, duration, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

TEMPLATES: Final = Path(__file__).with_name("templates")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; frame-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = UNSHARED | {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",  # none at all would take the origin from forms too, by which they are known
}

SIGNED_IN: Final = "nbstep-token"
"""The cookie of a browser that was given a token to keep; pages lead such a browser to where it forgets it."""
LONGEST_NUMBER: Final = 10
"""Characters of a number in a table."""


@cache
def templates() -> Environment:
    """The templates of all pages, each compiled once: what they are given is text."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.filters.update(FILTERS)
    found.globals |= {"folder": "", "here": "", "signed_in": False}  # of pages of no folder, for nobody known
    return found


class Rendering:
    """Makes the pages, below the prefix of each request.

    Args:
        folders: Those that a page may offer.
    """

    def __init__(self, folders: RunFolders) -> None:
        self._folders = folders
        self._templates = templates()

    def of_folder(
        self, request: Request, template: str, folder: RunFolder, right: Right = Right.READ, **members: Any
    ) -> Response:
        """A page of one folder, on which another can be chosen, of those in which the caller has a right. May block."""
        folders = allowed(request, self._folders, right)
        return self.page(request, template, folder=folder.name, folders=folders, **members)

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] = MappingProxyType({}),
        **members: Any,
    ) -> Response:
        """A page of a template."""
        base = _base(request)
        here = request.scope["path"].removeprefix(base)
        text = self._templates.get_template(template).render(
            base=base, here=here, signed_in=SIGNED_IN in request.cookies, **members
        )
        return Response(text, status, {**headers, **HEADERS}, "text/html")


def refused(scope: Scope, problem: Problem) -> Response:
    """Why a request may not pass, as a page where a browser asks; nothing is known of who that is."""
    if "text/html" not in Headers(scope=scope).get("accept", ""):
        return problem.response()
    text = templates().get_template("problem.html").render(base=scope.get("root_path", ""), problem=problem.told)
    return Response(text, problem.status, {**problem.headers, **HEADERS}, "text/html")


def to_run(request: Request, run_id: str, folder: str) -> Response:
    """Leads the browser to a run's page, after a form."""
    return RedirectResponse(f"{_base(request)}/runs/{run_id}?folder={folder}", 303, HEADERS)


def to_sweep(request: Request, path: str, folder: str) -> Response:
    """Leads the browser to the page of a sweep that was started, which is that of all runs beside its own."""
    group = quote(path.rpartition("/")[0])
    return RedirectResponse(f"{_base(request)}/sweeps/{group}?folder={folder}", 303, HEADERS)


def _base(request: Request) -> str:
    base: str = request.scope.get("root_path", "")
    return base


def _moment(text: str) -> str:
    """A time of a record for people, in this machine's zone, until a script writes it in the browser's."""
    try:
        told = f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M %Z}"
    except (ValueError, OverflowError):
        told = text
    return Markup('<time datetime="{}">{}</time>').format(text, told) if text else ""


def zone_here() -> tuple[str, float]:
    """This machine's zone: its name, and by how many minutes it is ahead of UTC now."""
    now = datetime.now().astimezone()
    ahead = now.utcoffset()
    return f"{now:%Z}", ahead.total_seconds() / 60 if ahead else 0.0


def _since_epoch(seconds: float) -> str:
    """A time in seconds since the epoch for people."""
    return _moment(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"))


def _values(values: Mapping[str, Any]) -> str:
    pairs = (f"{cut(visible_line(name), 40)}={cut(_brief(value), 40)}" for name, value in values.items())
    return cut(", ".join(pairs), 200)


def _value(value: Any) -> str:
    """A value for people; a number that JSON cannot write as it is, however it is told."""
    with suppress(RecursionError):  # nested as no number is
        value = read(value)
    return visible(shown(value))


def _brief(value: Any) -> str:
    """A value in a table: of a long number what tells it from others; a run's own page has all of it."""
    exact = _value(value)
    return f"{value:.6g}" if isinstance(value, float) and len(exact) > LONGEST_NUMBER else exact


def _short(text: str, length: int = 120) -> str:
    return cut(visible(text), length)


def _words(words: str, state: str) -> str:
    """How a run stands, beside its state."""
    return visible(words.removeprefix(state)).removeprefix(":").strip()


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "brief": _brief,
    "duration": partial(duration, digits=1),
    "moment": _moment,
    "since_epoch": _since_epoch,
    "short": _short,
    "value": _value,
    "values": _values,
    "visible": visible,
    "words": _words,
}
"""How templates say a time, a text and values: as every view does."""
