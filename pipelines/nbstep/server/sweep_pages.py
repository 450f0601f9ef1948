"""The pages of sweeps: which there are below a folder, and one as a table with its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.routing import Route

from nbstep.server.callers import Right, allowed, folder_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolders, is_set_name
from nbstep.server.rendering import Rendering
from nbstep.server.sweep_table import NAME, PARAMETER, RESULT, SECONDS, STATE, SweepTable, sweep_table
from nbstep.server.sweeps import sweeps_below
from nbstep.views.runs_table import plots
from nbstep_runner.contract import RunState

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class SweepPages:
    """Answers browsers that look at sweeps."""

    def __init__(self, folders: RunFolders, rendering: Rendering, limits: Limits) -> None:
        self._folders = folders
        self._rendering = rendering
        self._most = limits.records

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/sweeps", self._list, methods=["GET"]),
            Route("/sweeps/{path:path}", self._one, methods=["GET"]),
        ]

    def _list(self, request: Request) -> Response:
        folder, beginning = folder_of(request, self._folders), request.query_params.get("name", "")
        groups, left_out = sweeps_below(folder, beginning)
        return self._rendering.page(
            request,
            "sweeps.html",
            folder=folder.name,
            folders=allowed(request, self._folders, Right.READ),
            name=beginning,
            groups=groups,
            left_out=left_out,
        )

    def _one(self, request: Request) -> Response:
        folder, path, query = folder_of(request, self._folders), request.path_params["path"], request.query_params
        group = folder.within(path)
        table = sweep_table(group, self._most)
        by, descending, first = query.get("sort", ""), query.get("order") == "down", query.get("first") == "failures"
        metric = by.removeprefix(RESULT) if by.startswith(RESULT) else getattr(table.sweep.metric, "name", "")
        rows = table.ordered(by, descending=descending, failures_first=first)
        drawn = plots([run.table_row() for run in rows], metric) if metric else ""
        return self._rendering.page(
            request,
            "sweep.html",
            folder=folder.name,
            group=group.name,
            path=path,
            table=table,
            rows=rows,
            linked=[run.result is not None and is_set_name(run.name) for run in rows],
            columns=_columns(table),
            by=by,
            descending=descending,
            failures_first=first,
            metric=table.sweep.metric,
            plots=Markup(drawn),  # noqa: S704 - the plots' own markup: all that notebooks say is escaped in it
            succeeded=RunState.SUCCEEDED,
        )


def _columns(table: SweepTable) -> list[tuple[str, str]]:
    """By what each column is ordered, and its heading."""
    return [
        (NAME, "Set"),
        *((PARAMETER + name, name) for name in table.parameters),
        (STATE, "State"),
        (SECONDS, "Time"),
        *((RESULT + name, name) for name in table.results),
    ]
