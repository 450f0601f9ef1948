"""How long commands take that run nothing, and whether any of many short runs stalls at its end."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BIN, nbstep
from benchmarks.measure import measure
from benchmarks.workloads import WORKLOADS

ROUNDS = 11
MOST = 0.150
RUNS = 200
STALL = 1.0
"""Seconds above the median that make a run a stalled one."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Median seconds by command."""

    seconds: dict[str, float]

    def sentence(self) -> str:
        """The figures in words."""
        return ", ".join(f"nbstep {name} {seconds * 1000:.0f} ms" for name, seconds in self.seconds.items())

    def misses(self) -> list[str]:
        """The targets that are missed."""
        late = {name: seconds for name, seconds in self.seconds.items() if seconds > MOST}
        return [f"nbstep {name}: {seconds * 1000:.0f} ms, target {MOST * 1000:.0f}" for name, seconds in late.items()]


@dataclass(frozen=True, slots=True)
class Stalls:
    """The longest and the median of many runs, in seconds, and how many stalled."""

    longest: float
    median: float
    stalled: int

    def sentence(self) -> str:
        """The figures in words."""
        return f"{RUNS} runs: median {self.median:.2f} s, longest {self.longest:.2f} s, {self.stalled} stalled"

    def misses(self) -> list[str]:
        """The target, where it is missed: none stalls."""
        return [f"{self.stalled} of {RUNS} runs stalled"] if self.stalled else []


def measure_starts(folder: Path) -> Starts:
    """Ask for help, and for a notebook's parameters."""
    notebook = WORKLOADS[0].write(folder)
    commands = {"--help": ["--help"], "params": ["params", str(notebook)]}
    medians = {}
    for name, arguments in commands.items():
        runs = [measure([str(BIN / "nbstep"), *arguments], folder / "log").seconds for _ in range(ROUNDS)]
        medians[name] = statistics.median(runs)
    return Starts(medians)


def measure_stalls(folder: Path) -> Stalls:
    """Run the hello notebook again and again."""
    notebook = WORKLOADS[0].write(folder)
    runs = [measure(nbstep(notebook, folder / "stalls.ipynb"), folder / "log").seconds for _ in range(RUNS)]
    median = statistics.median(runs)
    return Stalls(max(runs), median, sum(seconds > median + STALL for seconds in runs))
