"""Twenty parameter sets of one notebook: ``nbstep sweep`` against papermill, one after another and two at once."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat.v4

from benchmarks.contenders import BIN
from benchmarks.measure import measure
from benchmarks.targets import RUNS_A_SECOND, TO_API, TO_PAPERMILL, Measured

SETS = 20
JOBS = 2
IN_PROCESSES = Path(__file__).with_name("papermill_sweep.py")
ROUNDS = 3
HELLO_SETS = 200

IMPORTS = "import time\n\nimport numpy as np\nimport pandas as pd"
WORK = """
began = time.perf_counter()
while time.perf_counter() - began < 0.05:
    total = np.arange(1000.0).sum()
frame = pd.DataFrame({"n": [n], "total": [total]})
print(frame)
"""


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """Median seconds for twenty sets, by contender, and runs a second of a sweep whose notebooks do nothing."""

    seconds: dict[str, float]
    hello_a_second: float

    def ratio(self, contender: str) -> float:
        """nbstep's time to another's."""
        return self.seconds["nbstep sweep -j 2"] / self.seconds[contender]

    def sentence(self) -> str:
        """The figures in words."""
        figures = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.seconds.items())
        told = f"{SETS} parameter sets: {figures}; nbstep is {self._times()} times as fast"
        return f"{told}; {self.hello_a_second:.1f} runs of hello a second"

    def _times(self) -> str:
        return " and ".join(f"{1 / self.ratio(name):.1f}" for name in (SEQUENCE, PROCESSES))

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("sweep of 20 sets", TO_PAPERMILL, self.ratio(SEQUENCE))
        yield Measured("sweep of 20 sets", TO_API, self.ratio(PROCESSES))
        yield Measured("sweep of 200 hello sets", RUNS_A_SECOND, self.hello_a_second)


SEQUENCE = "papermill in sequence"
PROCESSES = "papermill's API in 2 processes"


def measure_sweep(folder: Path) -> SweepFigures:
    """Run every contender in turn."""
    notebook = _write(folder, IMPORTS, WORK)
    contenders: dict[str, Callable[[Path, Path], float]] = {
        "nbstep sweep -j 2": _nbstep,
        "nbstep sweep -j 2 --cold": _cold,
        SEQUENCE: _papermill,
        PROCESSES: _papermill_processes,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            seconds[name].append(contender(notebook, folder))
    hello = _write(folder, "print('hello')", "n + 1")
    runs = [HELLO_SETS / _nbstep(hello, folder, sets=HELLO_SETS) for _ in range(ROUNDS)]
    return SweepFigures(
        {name: statistics.median(each) for name, each in seconds.items()}, hello_a_second=statistics.median(runs)
    )


def _write(folder: Path, first: str, last: str) -> Path:
    cell: Callable[..., Any] = nbformat.v4.new_code_cell
    cells = [cell(first), cell("n = 1", metadata={"tags": ["parameters"]}), cell(last)]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "sweep.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
    return path


def _nbstep(notebook: Path, folder: Path, *options: str, sets: int = SETS) -> float:
    shutil.rmtree(folder / "swept", ignore_errors=True)
    grid = "n=" + ",".join(map(str, range(sets)))
    command = [str(BIN / "nbstep"), "sweep", str(notebook), "--grid", grid, "-j", str(JOBS)]
    return measure([*command, "-o", str(folder / "swept"), *options], folder / "log").seconds


def _cold(notebook: Path, folder: Path) -> float:
    return _nbstep(notebook, folder, "--cold")


def _papermill(notebook: Path, folder: Path) -> float:
    command = [str(BIN / "papermill"), "--log-output", "--no-progress-bar", str(notebook), str(folder / "out.ipynb")]
    return sum(measure([*command, "-p", "n", str(n)], folder / "log").seconds for n in range(SETS))


def _papermill_processes(notebook: Path, folder: Path) -> float:
    command = [sys.executable, str(IN_PROCESSES), str(notebook), str(folder), str(SETS), str(JOBS)]
    return measure(command, folder / "log").seconds
