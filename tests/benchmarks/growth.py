"""How the time grows with the number of cells."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import measure
from benchmarks.targets import DOUBLING, Measured
from benchmarks.workloads import Workload, trivial

COUNTS = (250, 500, 1000, 2000)
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Growth:
    """Median seconds by number of cells."""

    seconds: dict[int, float]

    @property
    def line(self) -> tuple[float, float]:
        """The least-squares line: seconds a cell, and seconds without any."""
        fit = statistics.linear_regression(list(self.seconds), list(self.seconds.values()))
        return fit.slope, fit.intercept

    @property
    def doubling(self) -> float:
        """What 2,000 cells take, to what 1,000 take."""
        return self.seconds[2000] / self.seconds[1000]

    def sentence(self) -> str:
        """The figures in words."""
        slope, start = self.line
        figures = ", ".join(f"{count} cells {seconds:.2f} s" for count, seconds in self.seconds.items())
        return f"growth: {figures}; {slope * 1000:.2f} ms a cell and {start:.2f} s; 2,000 to 1,000: {self.doubling:.2f}"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("cells", DOUBLING, self.doubling)


def measure_growth(command: Callable[[Path, Path], list[str]], folder: Path) -> Growth:
    """Run notebooks of growing length."""
    seconds = {}
    for count in COUNTS:
        notebook = Workload(name=f"{count} cells", cells=trivial(count)).write(folder)
        runs = [measure(command(notebook, folder / "grown.ipynb"), folder / "log").seconds for _ in range(ROUNDS)]
        seconds[count] = statistics.median(runs)
    return Growth(seconds)
