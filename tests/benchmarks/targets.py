"""The one table of what speed and memory are held to: ``make bench`` judges by it, ``docs/performance.md`` shows it.

Ratios are to another contender in the same run of the benchmarks, so that they carry over to other machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.table import Table

TO_PAPERMILL: Final = "time to papermill's"
TO_JUPYTER: Final = "time to jupyter execute's"
TO_API: Final = "time to papermill's API in 2 processes"
SECONDS: Final = "seconds"
SECONDS_MORE: Final = "seconds more than the runner"
SECONDS_MORE_THAN_HERE: Final = "seconds more than with files here"
SECONDS_MORE_THAN_PYTHON: Final = "seconds more than python -c"
REQUESTS: Final = "requests after the last cell"
TO_CLIENT: Final = "speed to that of the store's client, at least"
MEGABYTES_MORE: Final = "MB over its base"
MEGABYTES: Final = "peak memory, MB"
WRITTEN: Final = "bytes written to the final size"
DOUBLING: Final = "time of 2,000 to 1,000"
STALLED: Final = "runs that stall, of 200"
RUNS_A_SECOND: Final = "runs a second, at least"
TO_LINES: Final = "time to that of lines"
OVERHEAD: Final = "seconds over the function"
AT_LEAST: Final = frozenset({RUNS_A_SECOND, TO_CLIENT})
"""Figures of which more is better."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one figure of one workload is held to.

    Attributes:
        bound: What has to hold: ``make bench`` fails where it does not. ``None`` where nothing has been reached yet.
        aim: What is worked on.
    """

    workload: str
    figure: str
    bound: float | None
    aim: float | None = None

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value keeps a limit of this target."""
        return value >= limit if self.figure in AT_LEAST else value <= limit


TARGETS: Final = (
    Target("hello", TO_PAPERMILL, 0.32, 0.20),
    Target("hello, cloud extras", TO_PAPERMILL, 0.20, 0.14),
    Target("hello, 200 times", STALLED, 0),
    Target("250 cells", TO_PAPERMILL, 0.10, 0.05),
    Target("1000 cells", TO_PAPERMILL, 0.02, 0.011),
    Target("1000 cells", TO_JUPYTER, 0.60, 0.25),
    Target("cells", DOUBLING, 2.1),
    Target("100000 lines", TO_PAPERMILL, 0.50, 0.20),
    Target("1000000 lines", TO_PAPERMILL, 0.50, 0.15),
    Target("1000000 lines", MEGABYTES, 100),
    Target("100 MB in one print", TO_PAPERMILL, 0.35, 0.25),
    Target("100 MB in one print", MEGABYTES, 250, 120),
    Target("200 images of 500 kB", TO_PAPERMILL, 0.03),
    Target("200 images of 500 kB", MEGABYTES, 120),
    Target("200 images of 500 kB", WRITTEN, 3.0),
    Target("print to log, 95th percentile", SECONDS, 0.020, 0.015),
    Target("sweep of 20 sets", TO_PAPERMILL, 1 / 15, 0.055),
    Target("sweep of 20 sets", TO_API, 1 / 6, 0.15),
    Target("sweep of 200 hello sets", RUNS_A_SECOND, None, 40),
    Target("nbstep --help", SECONDS, 0.150),
    Target("nbstep params", SECONDS, 0.150, 0.12),
    Target("import nbstep", SECONDS, 0.150, 0.10),
    Target("nbstep run", TO_PAPERMILL, None, 0.25),
    Target("nbstep run", SECONDS_MORE, None, 0.08),
    Target("nbstep submit", SECONDS, None, 0.25),
    Target("nbstep submit --wait", SECONDS_MORE, None, 0.3),
    Target("runner and helper at rest", MEGABYTES, None, 45),
    Target("runner and helper at rest in a container", MEGABYTES, None, 45),
    Target("first cell in a container", SECONDS_MORE_THAN_PYTHON, None, 0.6),
    Target("first cell in a container, nothing in the page cache", SECONDS_MORE_THAN_PYTHON, None, 0.6),
    Target("image slim", MEGABYTES_MORE, None, 120),
    Target("image slim, built again", SECONDS, 60),
    Target("1 GB without a line break", TO_LINES, 2.0, 1.0),
    Target("1 GB of NULs", TO_LINES, None, 1.0),
    Target("1 GB of NULs of a process", TO_LINES, None, 1.0),
    Target("1 GB of NULs of a command", TO_LINES, None, 1.0),
    Target("1 GB of any kind", MEGABYTES, 150),
    Target("hello, 100 ms a request", REQUESTS, 4),
    Target("hello, 100 ms a request", SECONDS_MORE_THAN_HERE, 0.5),
    Target("50 cells, 100 ms a request", SECONDS_MORE_THAN_HERE, 0.5),
    Target("200 outputs of 100 kB to a store", WRITTEN, 4.0),
    Target("1 GB output notebook", TO_CLIENT, None, 0.8),
    Target("2 GB of collected files", TO_CLIENT, None, 0.8),
    Target("list of 10,000 runs, first page", SECONDS, None, 0.3),
    Target("endpoint, ready after its cells", SECONDS, 0.5),
    Target("endpoint, a request", OVERHEAD, 0.002),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one workload, as it was measured."""

    workload: str
    figure: str
    value: float


def judged(measured: Iterable[Measured]) -> Iterator[tuple[Target, float]]:
    """The targets that something was measured for, in the order of the table."""
    values = {(each.workload, each.figure): each.value for each in measured}
    for target in TARGETS:
        if (target.workload, target.figure) in values:
            yield target, values[target.workload, target.figure]


def misses(measured: Iterable[Measured]) -> list[str]:
    """The bounds that do not hold, in words."""
    return [
        f"{target.workload}: {target.figure} is {value:.3g}, and has to be {target.bound:.3g}"
        for target, value in judged(measured)
        if target.bound is not None and not target.holds(value, target.bound)
    ]


def table(measured: Iterable[Measured]) -> Table:
    """The verdicts, a row a target, in the form that the documentation has."""
    result = Table(box=box.MARKDOWN)
    for name in ("workload", "figure", "measured", "bound", "aim", "verdict"):
        result.add_column(name, justify="left" if name in {"workload", "figure", "verdict"} else "right")
    for target, value in judged(measured):
        result.add_row(*row(target), f"{value:.3g}", *limits(target), _verdict(target, value))
    return result


def row(target: Target) -> tuple[str, str]:
    """What names a target in the table."""
    return target.workload, target.figure


def limits(target: Target) -> tuple[str, str]:
    """Its bound and its aim, as the table shows them."""
    bound, aim = ("–" if limit is None else f"{limit:.3g}" for limit in (target.bound, target.aim))  # noqa: RUF001 - a dash
    return bound, aim


def _verdict(target: Target, value: float) -> str:
    kept = [
        name for name in ("bound", "aim") if (limit := getattr(target, name)) is not None and target.holds(value, limit)
    ]
    if "aim" in kept or (target.aim is None and kept):
        return "held"
    return "bound held, aim missed" if kept else "missed"
