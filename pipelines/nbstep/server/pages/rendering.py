"""Pages made of templates, and the policy under which all of them stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

from nbstep.server.callers import Right, allowed
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.pages.wording import FILTERS
from nbstep.server.problems import UNSHARED, Problem

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
