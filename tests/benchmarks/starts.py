"""How long commands take that run nothing or hello, in each way to start it, and whether any of many runs stalls."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BIN, NBSTEP, PAPERMILL, nbstep, papermill
from benchmarks.measure import measure
from benchmarks.targets import SECONDS, SECONDS_MORE, STALLED, TO_PAPERMILL, Measured
from benchmarks.workloads import WORKLOADS

ROUNDS = 11
RUNS = 200
SUBMITTED = "submitted"
STALL = 1.0
"""Seconds above the median that make a run a stalled one."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Median seconds by command."""

    seconds: dict[str, float]

    def sentence(self) -> str:
        """The figures in words."""
        return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in self.seconds.items())

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        for name in ("nbstep --help", "nbstep params", "import nbstep", "nbstep submit"):
            yield Measured(name, SECONDS, self.seconds[name])
        for name in ("nbstep run", "nbstep submit --wait"):
            yield Measured(name, SECONDS_MORE, self.seconds[name] - self.seconds[NBSTEP])
        yield Measured("nbstep run", TO_PAPERMILL, self.seconds["nbstep run"] / self.seconds[PAPERMILL])


@dataclass(frozen=True, slots=True)
class Stalls:
    """The longest and the median of many runs, in seconds, and how many stalled."""

    longest: float
    median: float
    stalled: int

    def sentence(self) -> str:
        """The figures in words."""
        return f"{RUNS} runs: median {self.median:.2f} s, longest {self.longest:.2f} s, {self.stalled} stalled"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("hello, 200 times", STALLED, self.stalled)


def measure_starts(folder: Path) -> Starts:
    """Ask for what needs no kernel, and run the hello notebook in each way that people have, all in turn."""
    notebook = WORKLOADS[0].write(folder)
    runs: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        for name, command in _commands(notebook, folder / f"starts-{turn}").items():
            runs.setdefault(name, []).append(measure(command, folder / "log").seconds)
        measure([str(BIN / "nbstep"), "wait", "--runs", str(folder / f"starts-{turn}"), SUBMITTED], folder / "log")
    return Starts({name: statistics.median(seconds) for name, seconds in runs.items()})


def _commands(notebook: Path, folder: Path) -> dict[str, list[str]]:
    ours, output = str(BIN / "nbstep"), folder / "output.ipynb"
    submit = [ours, "submit", str(notebook), "--on", "local", "--runs", str(folder), "--run-id"]
    return {
        "nbstep --help": [ours, "--help"],
        "nbstep params": [ours, "params", str(notebook)],
        "import nbstep": [sys.executable, "-c", "import nbstep"],
        NBSTEP: nbstep(notebook, output),
        "nbstep run": [ours, "run", str(notebook), str(output), "--force"],
        "nbstep submit --wait": [*submit, "waited", "--wait"],
        "nbstep submit": [*submit, SUBMITTED],
        PAPERMILL: papermill(notebook, folder / "papermill.ipynb"),
    }


def measure_stalls(folder: Path) -> Stalls:
    """Run the hello notebook again and again."""
    notebook = WORKLOADS[0].write(folder)
    runs = [measure(nbstep(notebook, folder / "stalls.ipynb"), folder / "log").seconds for _ in range(RUNS)]
    median = statistics.median(runs)
    return Stalls(max(runs), median, sum(seconds > median + STALL for seconds in runs))
