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
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

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


def measure(uri: str, store: Store, cache: Path, runs: int, add: Callable[[], None]) -> None:
    """Print the figures of a folder of so many runs, to which ten more are then added."""
    lists = Lists(uri, store, cache)
    tell("first page, without an index", seconds_of(lambda: lists.page(Query())))
    tell("until all records are in the index, after that", seconds_of(lambda: wait_until_read(lists)))
    lists.index.file.close()
    lists = Lists(uri, store, cache)
    tell("first page of a server that is started again", seconds_of(lambda: lists.page(Query())))
    queries = {
        "first page": Query(),
        "the last that failed": Query(state=RunState.FAILED),
        "with a label": Query(label=("team=team-3",)),
        "of ids that begin so": Query(notebook=run_id(0)[:-2]),
        "with a label that none has": Query(label=("team=none",)),
    }
    for name, query in queries.items():
        taken = [seconds_of(partial(lists.page, query)) for _ in range(20)]
        tell(f"{name}: median", statistics.median(taken))
        tell(f"{name}: longest of 20", max(taken))
    add()
    tell("until ten new runs are told of", seconds_of(lambda: wait_until_told(lists, run_id(runs))))


def wait_until_read(lists: Lists) -> None:
    """Until no record is left to be read on the side."""
    while lists.index.file.unread(1):
        time.sleep(0.1)


def wait_until_told(lists: Lists, first: str) -> None:
    """Until the ten newest runs are this and those after it."""
    while min(run.id for run in lists.page(Query(limit=10)).runs) < first:
        time.sleep(0.1)


def tell(what: str, seconds: float) -> None:
    """One figure."""
    print(f"  {what:<50} {seconds:10.3f} s", flush=True)  # noqa: T201 - what it is run for - what the script is for


def main() -> None:
    """Measure a folder of this disk, and the same behind a network."""
    parser = argparse.ArgumentParser(prog="make bench-runs", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--request-seconds", type=float, default=0.05)
    parser.add_argument("--only", choices=["disk", "network"])
    arguments = parser.parse_args()
    runs = arguments.runs
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name, "runs"), Path(name, "cache")
        if arguments.only != "network":
            write_runs(folder, range(runs))
            print(f"{runs} runs on this disk:")  # noqa: T201 - what it is run for
            more = range(runs, runs + 10)
            measure(
                str(folder), store_of(str(folder), StorageOptions()), cache, runs, partial(write_runs, folder, more)
            )
        if arguments.only != "disk":
            uri = "memory://bench/runs"
            store = RemoteStore(uri, runs, arguments.request_seconds)
            print(f"{runs} runs behind requests of {arguments.request_seconds} s:")  # noqa: T201 - what it is run for
            measure(uri, cast("Store", store), cache, runs, partial(setattr, store, "runs", runs + 10))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = max(file.stat().st_size for file in cache.glob("*.sqlite3")) / 2**20
        print(f"memory at its peak {peak:.0f} MB; the index {size:.0f} MB")  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main()
