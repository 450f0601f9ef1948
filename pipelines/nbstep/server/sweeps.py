"""The sweeps of the service's folders over HTTP: which there are, and one as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.routing import Route

from nbstep.server.callers import folder_of
from nbstep.server.folders import RunFolder, RunFolders, is_group_path
from nbstep.server.groups import Group
from nbstep.server.runs import as_json
from nbstep.server.summaries import Summary, short, summary_of
from nbstep.server.sweep_reader import SweepReader
from nbstep.sweeps.outcome import SweepRun
from nbstep_runner.contract import RunState

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_SHOWN: Final = 500
"""How many sweeps a list has."""


class SweepListed(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep of a list.

    Attributes:
        path: By which it is asked for, below its folder.
        runs: How many of its runs have a record.
        modified: When the last of these was written, in seconds since the epoch.
    """

    path: str
    runs: int
    modified: float


class SweepList(msgspec.Struct, frozen=True, kw_only=True):
    """The sweeps below a folder, the last written first; ``left_out`` more are not told of."""

    sweeps: tuple[SweepListed, ...]
    left_out: int


class SetOfSweep(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters of a sweep.

    Attributes:
        state: Of its run, which is pending until there is a record.
        parameters: What the set gives; empty in a list where ``run`` is not whole.
        run: Its run, whose ``folder`` and ``id`` it is asked for by; ``None`` until there is a record.
    """

    name: str
    state: RunState
    parameters: dict[str, Any]
    run: Summary | None


class SweepDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as far as its records tell.

    Attributes:
        folder: What its runs are asked for with: the folder's name and the sweep's path.
        metric: The result that tells which set is best; ``None`` where no result has that role.
        shared: The parameters that all sets have alike.
        sets: The best first, where there is a metric.
        left_out: How many sets are not told of.
    """

    folder: str
    metric: str | None
    shared: dict[str, Any]
    sets: tuple[SetOfSweep, ...]
    left_out: int


class Sweeps:
    """Answers what is asked about sweeps."""

    def __init__(self, folders: RunFolders, reader: SweepReader) -> None:
        self._folders = folders
        self._reader = reader

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/v1/sweeps", self._list, methods=["GET"]),
            Route("/v1/sweeps/{path:path}", self._one, methods=["GET"]),
        ]

    def _list(self, request: Request) -> Response:
        listed, left_out = sweeps_below(folder_of(request, self._folders), request.query_params.get("name", ""))
        told = tuple(SweepListed(path=each.path, runs=each.runs, modified=each.modified) for each in listed)
        return as_json(SweepList(sweeps=told, left_out=left_out))

    def _one(self, request: Request) -> Response:
        group = folder_of(request, self._folders).within(request.path_params["path"])
        table = self._reader.table(group)
        rows = table.ordered("", descending=False, failures_first=False)
        return as_json(
            SweepDetail(
                folder=group.name,
                metric=getattr(table.sweep.metric, "name", None),
                shared=table.shared,
                sets=tuple(_set_of(group.name, each) for each in rows),
                left_out=table.left_out,
            )
        )


def sweeps_below(folder: RunFolder, beginning: str) -> tuple[list[Group], int]:
    """The sweeps of a folder whose paths begin so, as many as are shown, and how many more there are. May block."""
    known = folder.index.told(lambda _: folder.index.file.groups(endpoints=False))
    groups = [each for each in known if each.path.startswith(beginning) and is_group_path(each.path)]
    return groups[:MOST_SHOWN], max(0, len(groups) - MOST_SHOWN)


def _set_of(folder: str, run: SweepRun) -> SetOfSweep:
    told = short(summary_of(folder, run.name, run.result)) if run.result else None
    parameters = run.parameters if told is None or told.whole else {}
    return SetOfSweep(name=run.name, state=run.state, parameters=parameters, run=told)
