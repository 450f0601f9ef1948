"""``make bench-runs``: what lists of runs cost, from a folder of this disk and from a store beyond a network.

``--runs 1000000`` takes most of an hour: without an index every record is read once, 32 at a time.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.targets import SECONDS, Measured
from nbstep.backends.server.interface import Page
from nbstep.profiles.storage import store_of
from nbstep.server.config import Folder
from nbstep.server.folders import RunFolder
from nbstep.server.index import RunIndex
from nbstep.server.listing import Query, page
from nbstep.server.problems import Problem
from nbstep_runner.contract import RunResult, RunSpec, RunState, StorageOptions, encode
from nbstep_runner.stores import Blob, Stat, Store, redact

NAMES: Final = (
    *("input.ipynb", "output.html", "output.ipynb", "output.log.jsonl", "output.result.json"),
    *("params.yaml", "spec.json", "submission.json"),
)
"""What a run that was submitted leaves, in order."""
LISTED_AT_ONCE: Final = 1000
"""Objects of one answer to a listing, as the clouds' stores have it."""
RUNS: Final = 10_000
REQUEST_SECONDS: Final = 0.05
AFTER_RESTART: Final = "first page of a server that is started again"
RARE: Final = 1000
"""One run in so many has failed."""


def record_of(uri: str, run_id: str, number: int) -> bytes:
    """The record of a run, with what a usual one holds."""
    spec = RunSpec(run_id=run_id, input_uri=f"{uri}/{run_id}/input.ipynb", output_uri=f"{uri}/{run_id}/output.ipynb")
    record = replace(
        RunResult.blank(spec, redact),
        state=RunState.SUCCEEDED if number % RARE else RunState.FAILED,
        exit_code=0 if number % RARE else 10,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=12.5,
        parameters={"alpha": number / 7, "name": f"set {number}", "epochs": 20},
        results={"rmse": 1 / (number + 1), "best": number},
        labels={"team": f"team-{number % 10}"},
    )
    return encode(record, indent=1)


class RemoteStore:
    """Runs that are made up when they are asked for, in a store where each request takes so many seconds."""

    def __init__(self, uri: str, runs: int, seconds: float) -> None:
        self._uri = uri
        self._seconds = seconds
        self.runs = runs

    def list(self, uri: str) -> Iterator[Stat]:
        """A page of names a request."""
        for number in range(self.runs * len(NAMES)):
            if number % LISTED_AT_ONCE == 0:
                time.sleep(self._seconds)
            run, name = divmod(number, len(NAMES))
            yield Stat(uri=f"{uri}{run_id(run)}/{NAMES[name]}", size=2000, version=f"v{number}", modified=1e9 + run)

    def read(self, uri: str) -> Blob:
        """A record."""
        time.sleep(self._seconds)
        name = uri.split("/")[-2]
        return Blob(record_of(self._uri, name, int(name.removeprefix("run-"))), "v")


def run_id(number: int) -> str:
    """The id of a run; they sort as their numbers do."""
    return f"run-{number:09d}"


def write_runs(folder: Path, numbers: range) -> None:
    """Real runs' files on this disk."""
    for number in numbers:
        place = folder / run_id(number)
        place.mkdir(parents=True)
        for name in NAMES:
            place.joinpath(name).write_bytes(
                record_of(str(folder), place.name, number) if name == "output.result.json" else b"{}"
            )


class Lists:
    """The lists of a folder, as a server that has just been started gives them."""

    def __init__(self, uri: str, store: Store, cache: Path) -> None:
        folder = Folder(uri=uri)
        self.index = RunIndex(f"{uri}/", lambda: store, RunIndex.of(folder, str(cache)).file)
        self._folder = RunFolder("runs", folder, {}, self.index)

    def page(self, query: Query) -> Page:
        """A page, once the folder has been listed for the first time."""
        while True:
            try:
                return page(self._folder, query, 2000)
            except Problem as problem:
                if problem.status != 503:
                    raise


def seconds_of(action: Callable[[], object]) -> float:
    """What one call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(uri: str, store: Store, cache: Path, runs: int, add: Callable[[], None]) -> Iterator[tuple[str, float]]:
    """The figures of a folder of so many runs, to which ten more are then added."""
    lists = Lists(uri, store, cache)
    yield "first page, without an index", seconds_of(lambda: lists.page(Query()))
    yield "until all records are in the index, after that", seconds_of(lambda: wait_until_read(lists))
    lists.index.file.close()
    lists = Lists(uri, store, cache)
    yield AFTER_RESTART, seconds_of(lambda: lists.page(Query()))
    queries = {
        "first page": Query(),
        "the last that failed": Query(state=RunState.FAILED),
        "with a label": Query(label=("team=team-3",)),
        "of ids that begin so": Query(notebook=run_id(0)[:-2]),
        "with a label that none has": Query(label=("team=none",)),
    }
    for name, query in queries.items():
        taken = [seconds_of(partial(lists.page, query)) for _ in range(20)]
        yield f"{name}: median", statistics.median(taken)
        yield f"{name}: longest of 20", max(taken)
    add()
    yield "until ten new runs are told of", seconds_of(lambda: wait_until_told(lists, run_id(runs)))


def wait_until_read(lists: Lists) -> None:
    """Until no record is left to be read on the side."""
    while lists.index.file.unread(1):
        time.sleep(0.1)


def wait_until_told(lists: Lists, first: str) -> None:
    """Until the ten newest runs are this and those after it."""
    while min(run.id for run in lists.page(Query(limit=10)).runs) < first:
        time.sleep(0.1)


def on_disk(folder: Path, runs: int) -> Iterator[tuple[str, float]]:
    """The figures of real runs on this disk."""
    runs_folder, more = folder / "runs", range(runs, runs + 10)
    write_runs(runs_folder, range(runs))
    store = store_of(str(runs_folder), StorageOptions())
    return measure(str(runs_folder), store, folder / "cache", runs, partial(write_runs, runs_folder, more))


def behind_network(folder: Path, runs: int, request_seconds: float) -> Iterator[tuple[str, float]]:
    """The figures of runs in a store where each request takes so many seconds."""
    uri = "memory://bench/runs"
    store = RemoteStore(uri, runs, request_seconds)
    add = partial(setattr, store, "runs", runs + 10)
    return measure(uri, cast("Store", store), folder / "cache", runs, add)


@dataclass(frozen=True, slots=True)
class FirstPages:
    """Seconds until the first page of 10,000 runs, by where they are: of a server that has just been started."""

    seconds: dict[str, float]

    def sentence(self) -> str:
        """The figures in words."""
        told = ", ".join(f"{place} {seconds:.3f} s" for place, seconds in self.seconds.items())
        return f"first page of {RUNS} runs, after a restart: {told}"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("list of 10,000 runs, first page", SECONDS, max(self.seconds.values()))


def measure_first_pages(folder: Path) -> FirstPages:
    """List them on this disk and behind a network."""
    place = folder / "lists"
    place.mkdir()
    figures = {"on this disk": on_disk(place, RUNS), "at 50 ms a request": behind_network(place, RUNS, REQUEST_SECONDS)}
    return FirstPages({where: dict(measured)[AFTER_RESTART] for where, measured in figures.items()})


def main() -> None:
    """Print all figures of both."""
    parser = argparse.ArgumentParser(prog="make bench-runs", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--request-seconds", type=float, default=REQUEST_SECONDS)
    parser.add_argument("--only", choices=["disk", "network"])
    arguments = parser.parse_args()
    runs, wait = arguments.runs, arguments.request_seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.only != "network":
            tell(f"{runs} runs on this disk:", on_disk(folder, runs))
        if arguments.only != "disk":
            tell(f"{runs} runs behind requests of {wait} s:", behind_network(folder, runs, wait))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = max(file.stat().st_size for file in folder.glob("cache/*.sqlite3")) / 2**20
        print(f"memory at its peak {peak:.0f} MB; the index {size:.0f} MB")  # noqa: T201 - what it is run for


def tell(title: str, figures: Iterable[tuple[str, float]]) -> None:
    """Each figure as soon as it is known."""
    print(title)  # noqa: T201 - what it is run for
    for what, seconds in figures:
        print(f"  {what:<50} {seconds:10.3f} s", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
