"""A sweep for people: how far it is while it goes, and its table at the end."""

from __future__ import annotations

import threading
from time import monotonic
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nbstep.sweeps.lines import cells
from nbstep.sweeps.outcome import Sweep, SweepRun, columns
from nbstep.views.links import link_to
from nbstep.views.run_list import STYLES
from nbstep.views.text import visible_line
from nbstep_runner.contract import RunState
from nbstep_runner.page import duration

MOST_RUNNING_SHOWN: Final = 16
WHOLE: Final = ("state", "time")
"""The columns of a sweep's table that are not broken however narrow a terminal is."""


class SweepView:
    """Shows how far a sweep is, as a context; :meth:`hear` is its listener."""

    def __init__(self, console: Console, count: int) -> None:
        self._console = console
        self._count = count
        self._begun: dict[str, float] = {}
        self._ended = 0
        self._failed = 0
        self._since = monotonic()
        self._lock = threading.Lock()
        self._live = Live(console=console, get_renderable=self._draw, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.__exit__(kind, error, tb)

    def hear(self, _: int, run: SweepRun) -> None:
        """Take note of a run that has begun or ended."""
        with self._lock:
            if run.result is None:
                self._begun[run.name] = monotonic()
                return
            self._begun.pop(run.name, None)
            self._ended += 1
            self._failed += run.state is not RunState.SUCCEEDED

    def _draw(self) -> RenderableType:
        with self._lock:
            running = list(self._begun.items())
        now = monotonic()
        line = Table.grid(padding=(0, 1))
        failed = Text(f"{self._failed} failed", style="red") if self._failed else Text("")
        done = Text(f"{self._ended} of {self._count} runs")
        line.add_row(ProgressBar(self._count, self._ended, width=30), done, Text(duration(now - self._since)), failed)
        shown = [
            Text(f"  {visible_line(name)}  {duration(now - since)}") for name, since in running[:MOST_RUNNING_SHOWN]
        ]
        return Group(*shown, line)


def sweep_table(sweep: Sweep) -> Table:
    """Parameters, state, time and results, a row a run."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    parameters, results = columns(sweep.runs)
    for names, whole in ((parameters, False), (WHOLE, True), (results, False)):
        for name in names:
            table.add_column(visible_line(name), overflow="fold", no_wrap=whole)
    for run in sweep.runs:
        given, state, seconds, found = cells(run, parameters, results)
        table.add_row(*map(Text, given), Text(state, style=STYLES.get(run.state, "red")), seconds, *map(Text, found))
    return table


def failures(sweep: Sweep) -> list[Text]:
    """What went wrong with each run that did not succeed, and where its notebook is."""
    told = []
    for run in sweep.runs:
        if run.error:
            link = link_to(run.output_uri)
            place = Text(run.output_uri, style=f"link {link}" if link else "")
            told += [
                Text.assemble((run.name, "bold"), ": ", (visible_line(run.error), "red")),
                Text("  ").append(place),
            ]
    return told
