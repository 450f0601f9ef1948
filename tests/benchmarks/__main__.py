"""``make bench``: nbstep, papermill and the floor in one run, alternating; medians, ratios, targets, growth, a plot."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from contenders import CONTENDERS, nbstep
from growth import measure_growth
from measure import Measure, measure
from plot import plot
from sweep import measure_sweep
from workloads import WORKLOADS, Workload


@dataclass(frozen=True, slots=True)
class Outcome:
    """A workload's medians by contender, and the size of what nbstep wrote in the end."""

    workload: Workload
    medians: dict[str, Measure]
    final_bytes: int

    @property
    def ratio(self) -> float:
        """nbstep's wall time to papermill's."""
        return self.medians["nbstep"].seconds / self.medians["papermill"].seconds

    def misses(self) -> list[str]:
        """The targets that are not met, in words."""
        ours, workload = self.medians["nbstep"], self.workload
        written = ours.written_bytes / max(1, self.final_bytes)
        checks = (
            (workload.most, self.ratio, "wall time {:.3f} of papermill's, target {:.3f}"),
            (workload.peak_bytes, ours.peak_bytes, "peak memory {:,.0f} bytes, target {:,.0f}"),
            (workload.written_ratio, written, "written {:.2f} times the final size, target {:.2f}"),
        )
        return [f"{workload.name}: {text.format(is_, most)}" for most, is_, text in checks if most and is_ > most]


def run(workload: Workload, folder: Path) -> Outcome:
    """Run every contender in turn, as often as the workload says."""
    notebook = workload.write(folder)
    measures: dict[str, list[Measure]] = {name: [] for name in CONTENDERS}
    output = folder / "output.ipynb"
    for _ in range(workload.rounds):
        for name, command in CONTENDERS.items():
            measures[name].append(measure(command(notebook, output), folder / "log"))
            if name == "nbstep":
                final = output.stat().st_size
    return Outcome(workload, {name: _median(each) for name, each in measures.items()}, final)


def warm_up(folder: Path) -> None:
    """Let every contender find its files in memory and its modules compiled, as in all runs but the first."""
    notebook = WORKLOADS[0].write(folder)
    for command in CONTENDERS.values():
        measure(command(notebook, folder / "warm.ipynb"), folder / "log")


def _median(measures: list[Measure]) -> Measure:
    fields = ("seconds", "cpu_seconds", "peak_bytes", "written_bytes")
    return Measure(*(statistics.median(getattr(each, field) for each in measures) for field in fields))


def table(outcomes: list[Outcome]) -> Table:
    """The figures, a row a workload."""
    result = Table(title="nbstep, papermill and the floor: medians of alternating runs")
    columns = ("workload", "nbstep s", "papermill s", "floor s", "ratio", "target", "CPU s", "CPU papermill", "peak MB")
    for column in columns:
        result.add_column(column, justify="left" if column == "workload" else "right")
    for outcome in outcomes:
        ours, theirs, floor = (outcome.medians[name] for name in CONTENDERS)
        result.add_row(
            outcome.workload.name,
            *(f"{each.seconds:.2f}" for each in (ours, theirs, floor)),
            f"{outcome.ratio:.3f}",
            f"{outcome.workload.most or 0:.3f}",
            f"{ours.cpu_seconds:.2f}",
            f"{theirs.cpu_seconds:.2f}",
            f"{ours.peak_bytes / 1e6:.0f}",
        )
    return result


def main() -> int:
    """Measure what is asked for, and say which targets are missed; 0 when none is."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slow", action="store_true", help="also what takes papermill minutes")
    parser.add_argument("--only", action="append", help="only workloads whose name contains this")
    parser.add_argument("--plot", type=Path, help="write the figures as a PNG")
    arguments = parser.parse_args()
    console = Console()
    chosen = [each for each in WORKLOADS if arguments.slow or not each.slow]
    if arguments.only:
        chosen = [each for each in WORKLOADS if any(part in each.name for part in arguments.only)]
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
        outcomes = [run(workload, Path(folder)) for workload in chosen]
        growth = None if arguments.only else measure_growth(nbstep, Path(folder))
        wants_sweep = not arguments.only or any(part in "sweep" for part in arguments.only)
        swept = measure_sweep(Path(folder)) if wants_sweep else None
    console.print(table(outcomes))
    if growth:
        console.print(growth.sentence())
    if swept:
        console.print(swept.sentence())
    if arguments.plot:
        plot([(outcome.workload.name, outcome.medians) for outcome in outcomes], growth, arguments.plot)
    measured = [*outcomes, *([growth] if growth else []), *([swept] if swept else [])]
    misses = [miss for each in measured for miss in each.misses()]
    for miss in misses:
        console.print(f"missed: {miss}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
