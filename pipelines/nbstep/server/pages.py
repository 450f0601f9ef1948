"""The pages for people: made on the server, right without a script, with nothing fetched from elsewhere.

A list and a run under way keep themselves up to date where scripts run: ours, each a file of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from nbstep.server.callers import Right, allowed, folder_of, place_of
from nbstep.server.config import Config
from nbstep.server.endpoint_list import endpoints_of
from nbstep.server.folders import RunFolders
from nbstep.server.listing import page
from nbstep.server.log_so_far import LINES, SEVERITIES, Search, read_log
from nbstep.server.problems import Problem, not_found
from nbstep.server.rendering import HEADERS, Rendering, to_run
from nbstep.server.run_documents import documents_of
from nbstep.server.runs import detail, query_of, standing
from nbstep.server.starting import SUBMITTED_BY, end
from nbstep.views.comparison import compared
from nbstep_runner.contract import RunState

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_COMPARED: Final = 12
"""How many runs stand side by side."""
MOST_ENDPOINTS: Final = 100
"""How many endpoints are asked how they stand."""
MOST_GROUPS: Final = 500
"""How many groups of runs a page has."""
STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {"style.css": "text/css", "run.js": "text/javascript", "runs.js": "text/javascript"}
"""What pages fetch, and its media type."""


class Pages:
    """The pages of a folder's runs and endpoints, as HTML."""

    def __init__(self, config: Config, folders: RunFolders, rendering: Rendering) -> None:
        self._config = config
        self._folders = folders
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/", self._runs, methods=["GET"]),
            Route("/compare", self._compare, methods=["GET"]),
            Route("/groups", self._groups, methods=["GET"]),
            Route("/endpoints", self._endpoints, methods=["GET"]),
            Route("/runs/{id}", self._run, methods=["GET"]),
            Route("/runs/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/static/{name}", self._static, methods=["GET"]),
        ]

    def problem(self, request: Request, problem: Problem) -> Response:
        """What went wrong, as a page."""
        wait = problem.headers.get("Retry-After")
        headers = problem.headers | ({"Refresh": wait} if wait else {})
        return self._rendering.page(request, "problem.html", problem.status, headers, problem=problem.told)

    def _runs(self, request: Request) -> Response:
        folder, query = folder_of(request, self._folders), query_of(request)
        found = page(folder, query, self._config.limits.records)
        following = request.url.include_query_params(cursor=found.next) if found.next else None
        return self._rendering.page(
            request,
            "runs.html",
            folder=folder.name,
            folders=allowed(request, self._folders, Right.READ),
            states=list(RunState),
            query=query,
            runs=found.runs,
            next=f"?{following.query}" if following else "",
            listed_at=found.listed_at,
            submitted_by=SUBMITTED_BY,
        )

    def _run(self, request: Request) -> Response:
        folder, run_id = place_of(request, self._folders), request.path_params["id"]
        query = request.query_params
        search = Search(query.get("find", ""), query.get("severity", ""))
        told, run = detail(folder, run_id), folder.run(run_id)
        log = read_log(run, search)
        return self._rendering.page(
            request,
            "run.html",
            folder=folder.top,
            run=told,
            page=any(each.name == "output.html" for each in told.objects),
            log=log,
            search=search,
            severities=SEVERITIES,
            most_lines=LINES,
            cells=told.cells if told.state.final else log.cells,
            attempts=run.attempts() if told.attempt > 1 else (),
            documents=documents_of(run),
        )

    def _compare(self, request: Request) -> Response:
        folder = place_of(request, self._folders)
        ids = list(dict.fromkeys(request.query_params.getlist("run")))[:MOST_COMPARED]
        known = [(run_id, *standing(folder, folder.run(run_id))) for run_id in ids]
        records = [replace(record, run_id=run_id, state=status.state) for run_id, status, record in known]
        lines = compared(records)[2:]  # without the ids and the states, which head the columns
        return self._rendering.page(
            request,
            "compare.html",
            folder=folder.top,
            place=folder.name,
            ids=ids,
            states=[each.state for each in records],
            lines=lines,
        )

    def _groups(self, request: Request) -> Response:
        folder, by = folder_of(request, self._folders), request.query_params.get("by", "notebook")
        if by not in ("notebook", "label"):
            hint = "They are grouped by notebook or by label."
            raise Problem(status=400, reference="usage", detail=f"runs have no groups by {by[:80]!r}", hint=hint)
        index = folder.index
        groups = index.told(lambda _: index.file.alike(by_label=by == "label", most=MOST_GROUPS))
        return self._rendering.page(
            request,
            "groups.html",
            folder=folder.name,
            folders=allowed(request, self._folders, Right.READ),
            by=by,
            groups=groups,
            most=MOST_GROUPS,
        )

    def _endpoints(self, request: Request) -> Response:
        folder = folder_of(request, self._folders)
        return self._rendering.page(
            request,
            "endpoints.html",
            folder=folder.name,
            folders=allowed(request, self._folders, Right.READ),
            endpoints=endpoints_of(folder, MOST_ENDPOINTS),
        )

    async def _cancel(self, request: Request) -> Response:
        run_id = request.path_params["id"]
        folder = await run_in_threadpool(folder_of, request, self._folders, Right.SUBMIT)
        await run_in_threadpool(end, folder, run_id)
        return to_run(request, run_id, folder.name)

    def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in KINDS:
            raise not_found(f"page {name[:80]!r}")
        return Response((STATIC / name).read_bytes(), headers=HEADERS, media_type=KINDS[name])
