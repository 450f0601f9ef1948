"""The page of one sweep: its runs as a table in the order of a column, and plots of what they found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.routing import Route

from nbstep.server.callers import folder_of
from nbstep.server.folders import RunFolders, is_set_name
from nbstep.server.pages.rendering import Rendering
from nbstep.server.sweep_reader import SweepReader
from nbstep.server.sweep_table import NAME, PARAMETER, RESULT, SECONDS, STATE, SweepTable
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

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [Route("/sweeps/{path:path}", self._one, methods=["GET"])]

    def _one(self, request: Request) -> Response:
        folder, path, query = folder_of(request, self._folders), request.path_params["path"], request.query_params
        group = folder.within(path)
        table = self._reader.table(group)
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
            states=Counter(run.state for run in rows),
            live=bool(table.left_out) or any(not run.state.final for run in rows),
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
