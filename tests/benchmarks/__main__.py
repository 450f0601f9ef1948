"""``make bench``: nbstep and its peers in one run, alternating; medians, ratios, the verdict on each target, a plot."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import page, targets
from benchmarks.cloud import install
from benchmarks.container import measure_container
from benchmarks.contenders import CONTENDERS, JUPYTER, NBSTEP, PAPERMILL, nbstep
from benchmarks.growth import Growth, measure_growth
from benchmarks.latency import measure_latency
from benchmarks.measure import Measure, measure
from benchmarks.memory import measure_memory, measure_rest
from benchmarks.plot import plot
from benchmarks.run_lists import measure_first_pages
from benchmarks.serving import measure_serving
from benchmarks.slow_store import measure_slow_stores
from benchmarks.starts import measure_stalls, measure_starts
from benchmarks.sweep import measure_sweep
from benchmarks.targets import MEGABYTES, TO_JUPYTER, TO_PAPERMILL, WRITTEN, Measured
from benchmarks.transfers import measure_transfers
from benchmarks.workloads import WORKLOADS, Workload, cloud_hello

SLOW = frozenset({"transfers", "container", "stalls", "memory"})
"""What takes minutes besides the workloads that do: measured on request only."""
PEER_FAILURES = 3
"""So many runs of another contender may fail at one workload."""


class Figures(Protocol):
    """What was measured."""

    def sentence(self) -> str:
        """The figures in words."""

    def measured(self) -> Iterator[Measured]:
        """What there may be a target for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A workload's medians by contender, and the size of what nbstep wrote in the end."""

    workload: Workload
    medians: dict[str, Measure]
    final_bytes: int

    @property
    def ratio(self) -> float:
        """nbstep's wall time to papermill's."""
        return self.ratio_to(PAPERMILL)

    def ratio_to(self, contender: str) -> float:
        """nbstep's wall time to another's."""
        return self.medians[NBSTEP].seconds / self.medians[contender].seconds

    def sentence(self) -> str:
        """The figures in words."""
        seconds = ", ".join(f"{name} {measure.seconds:.2f} s" for name, measure in self.medians.items())
        return f"{self.workload.name}: {seconds}; {self.ratio:.3f} of papermill's"

    def measured(self) -> Iterator[Measured]:
        """What there may be a target for."""
        ours, name = self.medians[NBSTEP], self.workload.name
        yield Measured(name, TO_PAPERMILL, self.ratio)
        yield Measured(name, TO_JUPYTER, self.ratio_to(JUPYTER))
        yield Measured(name, MEGABYTES, ours.peak_bytes / 1e6)
        yield Measured(name, WRITTEN, ours.written_bytes / max(1, self.final_bytes))


Told = TypeVar("Told", bound=Figures)


def run(workload: Workload, folder: Path) -> Outcome:
    """Run every contender in turn, as often as the workload says."""
    notebook = workload.write(folder)
    measures: dict[str, list[Measure]] = {name: [] for name in CONTENDERS}
    output = folder / "output.ipynb"
    for _ in range(workload.rounds):
        for name, command in CONTENDERS.items():
            one = partial(measure, command(notebook, output), folder / "log", workload.environment)
            measures[name].append(one() if name == NBSTEP else _of_peer(one, f"{name} at {workload.name}"))
            if name == NBSTEP:
                final = output.stat().st_size
    return Outcome(workload, {name: _median(each) for name, each in measures.items()}, final)


def _of_peer(one: Callable[[], Measure], doing: str) -> Measure:
    """A run of another contender. Those fail now and then: papermill gives up where its kernel's messages are slow."""
    for _ in range(PEER_FAILURES):
        with suppress(subprocess.CalledProcessError):
            return one()
        print(f"{doing} failed, and is run once more")  # noqa: T201 - what it is run for
    return one()


def warm_up(folder: Path) -> None:
    """Let every contender find its files in memory and its modules compiled, as in all runs but the first."""
    notebook = WORKLOADS[0].write(folder)
    for command in CONTENDERS.values():
        measure(command(notebook, folder / "warm.ipynb"), folder / "log")


def _median(measures: list[Measure]) -> Measure:
    fields = ("seconds", "cpu_seconds", "peak_bytes", "written_bytes")
    return Measure(*(statistics.median(getattr(each, field) for each in measures) for field in fields))


def told(console: Console, measured: Iterable[Told]) -> Iterator[Told]:
    """Say each as soon as it is known: the whole takes a while."""
    for each in measured:
        console.print(each.sentence())
        yield each


def figures(arguments: argparse.Namespace, folder: Path, failed: list[str]) -> Iterator[Figures]:
    """What is measured besides the workloads, as far as it is asked for and the servers that it needs are here.

    The names of what could not be measured go to ``failed``.
    """
    wanted: dict[str, Callable[[], Figures]] = {
        "growth": lambda: measure_growth(nbstep, folder),
        "latency": lambda: measure_latency(folder),
        "starts": lambda: measure_starts(folder),
        "sweep": lambda: measure_sweep(folder),
        "rest": lambda: measure_rest(folder),
        "serving": lambda: measure_serving(folder),
        "lists": lambda: measure_first_pages(folder),
        "slow stores": lambda: measure_slow_stores(folder),
        "transfers": lambda: measure_transfers(folder),
        "container": lambda: measure_container(folder),
        "stalls": lambda: measure_stalls(folder),
        "memory": lambda: measure_memory(folder),
    }
    for name, make in wanted.items():
        if _is_wanted(name, arguments, slow=name in SLOW):
            try:
                yield make()
            except pytest.skip.Exception as missing:
                print(f"{name} is not measured: {missing}")  # noqa: T201 - what it is run for
            except Exception as failure:  # noqa: BLE001 - half an hour's other figures are told all the same
                print(f"{name} could not be measured: {failure!r}")  # noqa: T201 - what it is run for
                failed.append(name)


def _is_wanted(name: str, arguments: argparse.Namespace, *, slow: bool) -> bool:
    if arguments.only:
        return any(part in name for part in arguments.only)
    return arguments.slow or not slow


def main() -> int:
    """Measure what is asked for, and say which targets are held; 0 when no bound is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slow", action="store_true", help="also what takes papermill minutes")
    parser.add_argument(
        "--cloud", action="store_true", help="also with gcsfs and boto3 beside papermill; installs them"
    )
    parser.add_argument("--only", action="append", help="only what has this in its name")
    parser.add_argument("--plot", type=Path, help="write the figures as a PNG")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a file, or a pipe
    console = Console(width=120)
    chosen = [each for each in WORKLOADS if _is_wanted(each.name, arguments, slow=each.slow)]
    if arguments.cloud:
        chosen.insert(1, cloud_hello(install()))
    with tempfile.TemporaryDirectory() as folder:
        if chosen:
            warm_up(Path(folder))
        outcomes = list(told(console, (run(workload, Path(folder)) for workload in chosen)))
        failed: list[str] = []
        others = list(told(console, figures(arguments, Path(folder), failed)))
    medians = [(outcome.workload.name, outcome.medians) for outcome in outcomes]
    console.print(*page.table(medians), sep="\n", soft_wrap=True)
    if arguments.plot:
        growth = next((each for each in others if isinstance(each, Growth)), None)
        plot(medians, growth, arguments.plot)
    measured = [figure for each in (*outcomes, *others) for figure in each.measured()]
    console.print(targets.table(measured))
    missed = targets.misses(measured)
    for miss in missed:
        console.print(f"missed: {miss}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
