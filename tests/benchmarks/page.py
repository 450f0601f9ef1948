"""The table of seconds as ``docs/performance.md`` has it, to be put there as ``make bench`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.contenders import CONTENDERS, NBSTEP, PAPERMILL
from benchmarks.measure import Measure
from benchmarks.workloads import CLOUD, WORKLOADS

TITLES = {"papermill": "papermill 2.7", "jupyter execute": "`jupyter execute`"}
COLUMNS = (
    "workload",
    *(TITLES.get(name, name) for name in CONTENDERS),
    "nbstep to papermill",
    "processor time, nbstep and papermill",
    "nbstep's peak memory",
)
ROWS = (WORKLOADS[0].name, CLOUD, *(workload.name for workload in WORKLOADS[1:]))
"""The workloads, as the table has them where all are measured."""


def table(outcomes: Sequence[tuple[str, Mapping[str, Measure]]]) -> Iterator[str]:
    """Its lines.

    Args:
        outcomes: Each workload's medians by contender.
    """
    yield _line(COLUMNS)
    yield "|" + "---|" * len(COLUMNS)
    for name, medians in outcomes:
        yield _line(_row(name, medians))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, medians: Mapping[str, Measure]) -> tuple[str, ...]:
    ours, theirs = medians[NBSTEP], medians[PAPERMILL]
    return (
        name,
        *(f"{medians[contender].seconds:.2f} s" for contender in CONTENDERS),
        f"{ours.seconds / theirs.seconds:.2g}",
        f"{ours.cpu_seconds:.2f} s, {theirs.cpu_seconds:.2f} s",
        f"{ours.peak_bytes / 1e6:.0f} MB",
    )
