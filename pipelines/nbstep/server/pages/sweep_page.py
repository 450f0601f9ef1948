"""The page of one sweep: how it stands, its runs as a table in the order of a column, plots of what they found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from nbstep.server.callers import Right, folder_of, is_allowed
from nbstep.server.folders import RunFolders, is_set_name
from nbstep.server.pages.rendering import Rendering, to_sweep
from nbstep.server.problems import Problem
from nbstep.server.standings import Standing, Standings
from nbstep.server.sweep_reader import SweepReader
from nbstep.server.sweep_table import NAME, PARAMETER, RESULT, SECONDS, STATE, SweepTable
from nbstep.server.sweeps import end_sweep
from nbstep.sweeps.outcome import SweepRun
from nbstep.views.runs_table import plots

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class SweepPage:
    """Answers browsers that look at a sweep."""

    def __init__(self, folders: RunFolders, rendering: Rendering, reader: SweepReader) -> None:
        self._folders = folders
        self._rendering = rendering
        self._reader = reader
        self._standings = Standings()

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/sweeps/{path:path}", self._one, methods=["GET"]),
            Route("/sweeps/{path:path}/cancel", self._cancel, methods=["POST"]),
        ]

    def _one(self, request: Request) -> Response:
        folder, path, query = folder_of(request, self._folders), request.path_params["path"], request.query_params
        group = folder.within(path)
        try:
            table = self._reader.table(group)
        except Problem:
            if folder.sweep(path) is None:
                raise
            return to_sweep(request, path, folder.name)  # it is one of those that were started there
        by, descending, first = query.get("sort", ""), query.get("order") == "down", query.get("first") == "failures"
        metric = by.removeprefix(RESULT) if by.startswith(RESULT) else getattr(table.sweep.metric, "name", "")
        rows = table.ordered(by, descending=descending, failures_first=first)
        standing = self._standings.of(folder, path, table.unfinished)
        drawn = plots([run.table_row() for run in rows], metric) if metric else ""
        return self._rendering.page(
            request,
            "sweep.html",
            folder=folder.name,
            group=group.name,
            path=path,
            standing=standing,
            may_cancel=is_allowed(request, folder, Right.SUBMIT),
            table=table,
            rows=rows,
            linked=[run.result is not None and is_set_name(run.name) for run in rows],
            columns=_columns(table),
            by=by,
            descending=descending,
            failures_first=first,
            metric=table.sweep.metric,
            plots=Markup(drawn),  # noqa: S704 - the plots' own markup: all that notebooks say is escaped in it
            states=Counter(run.state for run in rows),
            live=bool(table.left_out) or _goes_on(rows, standing),
        )

    async def _cancel(self, request: Request) -> Response:
        folder, path = (
            await run_in_threadpool(folder_of, request, self._folders, Right.SUBMIT),
            request.path_params["path"],
        )
        request.state.run = path
        await run_in_threadpool(end_sweep, folder, path)
        self._standings.forget(folder, path.rpartition("/")[0])
        return to_sweep(request, path, folder.name)


def _goes_on(runs: Iterable[SweepRun], standing: Standing) -> bool:
    """Whether a run is under way, or may begin yet: no more once all sweeps that have such have ended."""
    return any(not run.state.final and (run.result is not None or not standing.over) for run in runs)


def _columns(table: SweepTable) -> list[tuple[str, str]]:
    """By what each column is ordered, and its heading."""
    return [
        (NAME, "Set"),
        *((PARAMETER + name, name) for name in table.parameters),
        (STATE, "State"),
        (SECONDS, "Time"),
        *((RESULT + name, name) for name in table.results),
    ]
