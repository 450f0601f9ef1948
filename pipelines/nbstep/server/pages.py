"""The pages for people: made on the server, right without a script, with nothing fetched from elsewhere.

A list and a run under way keep themselves up to date where scripts run: ours, each a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from nbstep.server.callers import Right, folder_of, readable
from nbstep.server.config import Config
from nbstep.server.folders import RunFolders
from nbstep.server.listing import page
from nbstep.server.log_so_far import read_log
from nbstep.server.problems import Problem, not_found
from nbstep.server.runs import detail, query_of
from nbstep.server.starting import SUBMITTED_BY, end
from nbstep_runner.contract import RunState
from nbstep_runner.page import cut, duration, shown

if TYPE_CHECKING:
    from starlette.requests import Request

TEMPLATES: Final = Path(__file__).with_name("templates")
STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {"style.css": "text/css", "run.js": "text/javascript", "runs.js": "text/javascript"}
"""What pages fetch, and its media type."""
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


def _moment(text: str) -> str:
    """A time of a record for people, in this machine's zone; as it stands where it is none."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return text


def _values(values: dict[str, Any]) -> str:
    return cut(", ".join(f"{name}={cut(shown(value), 40)}" for name, value in values.items()), 200)


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "duration": partial(duration, digits=1),
    "moment": _moment,
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
    return found


class Pages:
    """Answers browsers."""

    def __init__(self, config: Config, folders: RunFolders) -> None:
        self._config = config
        self._folders = folders
        self._templates = templates()

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/", self._runs, methods=["GET"]),
            Route("/runs/{id}", self._run, methods=["GET"]),
            Route("/runs/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/static/{name}", self._static, methods=["GET"]),
        ]

    def problem(self, request: Request, problem: Problem) -> Response:
        """What went wrong, as a page."""
        wait = problem.headers.get("Retry-After")
        headers = problem.headers | ({"Refresh": wait} if wait else {})
        return self._page(request, "problem.html", problem.status, headers, problem=problem.told)

    def _runs(self, request: Request) -> Response:
        folder, query = folder_of(request, self._folders), query_of(request)
        found = page(folder, query, self._config.limits.records)
        following = request.url.include_query_params(cursor=found.next) if found.next else None
        return self._page(
            request,
            "runs.html",
            folder=folder.name,
            folders=readable(request, self._folders),
            states=list(RunState),
            query=query,
            runs=found.runs,
            next=f"?{following.query}" if following else "",
            listed_at=found.listed_at,
            submitted_by=SUBMITTED_BY,
        )

    def _run(self, request: Request) -> Response:
        folder, run_id = folder_of(request, self._folders), request.path_params["id"]
        told, log = detail(folder, run_id), read_log(folder.run(run_id))
        return self._page(
            request,
            "run.html",
            run=told,
            page=any(each.name == "output.html" for each in told.objects),
            log=log,
            cells=told.cells if told.state.final else log.cells,
        )

    async def _cancel(self, request: Request) -> Response:
        run_id = request.path_params["id"]
        folder = await run_in_threadpool(folder_of, request, self._folders, Right.SUBMIT)
        await run_in_threadpool(end, folder, run_id)
        base = request.scope.get("root_path", "")
        return RedirectResponse(f"{base}/runs/{run_id}?folder={folder.name}", 303, HEADERS)

    def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in KINDS:
            raise not_found(f"page {name[:80]!r}")
        return Response((STATIC / name).read_bytes(), headers=HEADERS, media_type=KINDS[name])

    def _page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] = MappingProxyType({}),
        **members: Any,
    ) -> Response:
        text = self._templates.get_template(template).render(base=request.scope.get("root_path", ""), **members)
        return Response(text, status, {**headers, **HEADERS}, "text/html")
