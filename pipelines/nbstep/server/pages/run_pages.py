"""The pages of runs: the list, and one run; and what all pages fetch, their style and our scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from nbstep.backends.server.interface import Detail
from nbstep.runs.run import Run
from nbstep.server.callers import Right, folder_of, is_allowed, place_of
from nbstep.server.folders import RunFolders
from nbstep.server.listing import page
from nbstep.server.pages.log_so_far import LINES, SEVERITIES, Search, read_log
from nbstep.server.pages.rendering import HEADERS, Rendering, to_run, zone_here
from nbstep.server.problems import Problem, not_found
from nbstep.server.runs import detail, query_of, standing
from nbstep.server.starting import SUBMITTED_BY, end
from nbstep.views.text import visible
from nbstep_runner.contract import RunResult, RunState, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.page import cut, environment_facts, facts
from nbstep_runner.stores import redact

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FETCHED: Final = {path.name: KINDS[path.suffix] for path in STATIC.iterdir() if path.suffix in KINDS}
"""What pages fetch, and its media type."""
MOST_CHARACTERS: Final = 2**16
"""Of one document on a page."""


class RunPages:
    """The pages of a folder's runs, and what all pages have in common.

    Args:
        folders: Of runs.
        rendering: Makes the pages.
        most_records: How many records are read for one page of the list.
    """

    def __init__(self, folders: RunFolders, rendering: Rendering, most_records: int) -> None:
        self._folders = folders
        self._rendering = rendering
        self._most_records = most_records

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
        return self._rendering.page(request, "problem.html", problem.status, headers, problem=problem.told)

    def _runs(self, request: Request) -> Response:
        folder, query = folder_of(request, self._folders), query_of(request)
        found = page(folder, query, self._most_records)
        following = request.url.include_query_params(cursor=found.next) if found.next else None
        return self._rendering.of_folder(
            request,
            "runs.html",
            folder,
            states=list(RunState),
            query=query,
            runs=found.runs,
            next=f"?{following.query}" if following else "",
            listed_at=found.listed_at,
            can_start=bool(folder.profiles) and is_allowed(request, folder, Right.SUBMIT),
            submitted_by=SUBMITTED_BY,
        )

    def _run(self, request: Request) -> Response:
        folder, query = place_of(request, self._folders), request.query_params
        run = folder.run(request.path_params["id"])
        status, record = standing(folder, run)
        told = detail(folder, run, status, record)
        search = Search(query.get("find", ""), query.get("severity", ""))
        log = read_log(run, search)
        return self._rendering.page(
            request,
            "run.html",
            folder=folder.top,
            run=told,
            facts=facts_of(told, record),
            environment=environment_of(record),
            page=any(each.name == "output.html" for each in told.objects),
            log=log,
            zone=zone_here(),
            search=search,
            severities=SEVERITIES,
            most_lines=LINES,
            cells=told.cells if told.state.final else log.cells,
            longest=max((cell.seconds or 0 for cell in told.cells), default=0),
            said={cell.index: cell.said for cell in log.cells},
            attempts=run.attempts() if told.attempt > 1 else (),
            documents=documents_of(run),
            submitted_by=SUBMITTED_BY,
            may_submit=is_allowed(request, folder, Right.SUBMIT),
            may_rerun=bool(folder.profiles),
        )

    async def _cancel(self, request: Request) -> Response:
        run_id = request.path_params["id"]
        folder = await run_in_threadpool(folder_of, request, self._folders, Right.SUBMIT)
        await run_in_threadpool(end, folder, run_id)
        return to_run(request, run_id, folder.name)

    def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FETCHED:
            raise not_found(f"page {name[:80]!r}")
        return Response((STATIC / name).read_bytes(), headers=HEADERS, media_type=FETCHED[name])


def facts_of(told: Detail, record: RunResult) -> dict[str, Any]:
    """What a run is, by the words for it, as the header of a run's page has it but for what a page has at its head."""
    known = {name: value for name, value in facts(record).items() if name not in ("run", "started", SUBMITTED_BY)}
    return {name: _redacted(value) for name, value in (known | {"handle": told.handle}).items()}


def environment_of(record: RunResult) -> dict[str, str]:
    """What a run had around it, by the words for it; empty until it is known."""
    return {} if record.environment is None else environment_facts(record.environment)


def documents_of(run: Run) -> dict[str, str]:
    """The spec and the record of a run by their names, as far as they are there."""
    found = {}
    for name, read in (("Spec", run.spec), ("Record", run.record)):
        try:
            document = read()
        except (InputNotFoundError, BadInputError):
            continue
        if document is not None:
            told = msgspec.json.encode(_redacted(msgspec.json.decode(encode(document))))
            found[name] = cut(visible(msgspec.json.format(told, indent=2).decode()), MOST_CHARACTERS)
    return found


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value) if "://" in value else value
        case list():
            return [_redacted(item) for item in value]
        case dict():
            return {name: _redacted(item) for name, item in value.items()}
    return value
