"""What a slow store costs a run: round trips, and bytes that go up."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from benchmarks.measure import measure
from benchmarks.targets import REQUESTS, SECONDS_MORE_THAN_HERE, WRITTEN, Measured
from benchmarks.workloads import ENDED_VARIABLE, MARK_END, WORKLOADS, Workload, trivial
from nbstep_runner.stores import open_store
from servers import faultproxy, gcs, s3
from servers.faultproxy import Proxy
from support.runs import RUNNER

ROUNDS = 5
DELAY = 0.1
"""Seconds that each request takes more."""
FIFTY_CELLS = Workload(name="50 cells", cells=trivial(50))
ENDED = Workload(name="ended", cells=lambda: ["print('hello')", MARK_END])
OUTPUTS, OUTPUT_BYTES = 200, 100_000
PRINTING = Workload(
    name="200 outputs of 100 kB", cells=lambda: [f"import os; print(os.urandom({OUTPUT_BYTES // 2}).hex())"] * OUTPUTS
)
KNOWN = {"NBSTEP_CONDITIONAL_WRITES": "yes"}
"""As of Amazon's own servers: what is found out of others takes two requests more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one store.

    Attributes:
        at_the_end: Requests after the last cell of hello, which wait for each other.
        hello: Seconds that hello takes more than with its files here; the median.
        fifty_cells: The same for fifty cells.
        sent: Bytes that go up for many outputs, to those of the notebook in the end.
    """

    at_the_end: int
    hello: float
    fifty_cells: float
    sent: float


@dataclass(frozen=True, slots=True)
class SlowStores:
    """By scheme."""

    costs: dict[str, Cost]

    def sentence(self) -> str:
        """The figures in words."""
        return "\n".join(
            f"{scheme}:// at {DELAY} s a request: hello {cost.hello:+.2f} s, "
            f"{cost.at_the_end} requests after its last cell, 50 cells {cost.fifty_cells:+.2f} s; "
            f"{cost.sent:.2f} times the final size goes up"
            for scheme, cost in self.costs.items()
        )

    def measured(self) -> Iterator[Measured]:
        """What there is a target for: of the store where it is most."""
        costs = self.costs.values()
        yield Measured("hello, 100 ms a request", REQUESTS, max(cost.at_the_end for cost in costs))
        yield Measured("hello, 100 ms a request", SECONDS_MORE_THAN_HERE, max(cost.hello for cost in costs))
        yield Measured("50 cells, 100 ms a request", SECONDS_MORE_THAN_HERE, max(cost.fifty_cells for cost in costs))
        yield Measured("200 outputs of 100 kB to a store", WRITTEN, max(cost.sent for cost in costs))


@dataclass(frozen=True, slots=True)
class _Stored:
    """A bucket behind a proxy, and the environment that leads there."""

    bucket: str
    proxy: Proxy
    environment: dict[str, str]


@contextmanager
def _gcs(folder: Path) -> Iterator[_Stored]:
    with gcs.running(folder) as server, faultproxy.running(server.port) as proxy:
        server.make_bucket("bench")
        yield _Stored("gs://bench/", proxy, server.environment(proxy.endpoint) | KNOWN)


@contextmanager
def _s3(_: Path) -> Iterator[_Stored]:
    with s3.running() as server, faultproxy.running(server.port) as proxy:
        server.make_bucket("bench")
        yield _Stored("s3://bench/", proxy, server.environment(proxy.endpoint) | KNOWN)


STORES: Final[dict[str, Callable[[Path], AbstractContextManager[_Stored]]]] = {"gs": _gcs, "s3": _s3}


def measure_slow_stores(folder: Path) -> SlowStores:
    """Run the same notebooks here and on each store, in turn."""
    place = folder / "slow-stores"
    place.mkdir()
    costs = {}
    for scheme, running in STORES.items():
        with running(place) as stored, patch.dict(os.environ, stored.environment):
            costs[scheme] = Cost(
                at_the_end=_requests_at_the_end(stored, place),
                hello=_more(stored, place, WORKLOADS[0]),
                fifty_cells=_more(stored, place, FIFTY_CELLS),
                sent=_sent(stored, place),
            )
    return SlowStores(costs)


def _requests_at_the_end(stored: _Stored, folder: Path) -> int:
    notebook, ended = ENDED.write(folder), folder / "ended"
    _seconds(str(notebook), f"{stored.bucket}ended.ipynb", folder, {ENDED_VARIABLE: str(ended)})
    return sum(seen.at > float(ended.read_text()) for seen in stored.proxy.seen)


def _more(stored: _Stored, folder: Path, workload: Workload) -> float:
    """Seconds that a notebook takes more than with its files here."""
    here = workload.write(folder)
    there = f"{stored.bucket}{here.name}"
    open_store(stored.bucket).write(there, here.read_bytes())
    stored.proxy.delay = DELAY
    differences = []
    for turn in range(ROUNDS):
        local = _seconds(str(here), str(folder / f"{turn}.ipynb"), folder)
        differences.append(_seconds(there, f"{stored.bucket}{workload.name}/{turn}.ipynb", folder) - local)
    stored.proxy.delay = 0.0
    return statistics.median(differences)


def _sent(stored: _Stored, folder: Path) -> float:
    notebook, output = PRINTING.write(folder), f"{stored.bucket}printed.ipynb"
    stored.proxy.seen.clear()
    _seconds(str(notebook), output, folder)
    sent = sum(seen.sent for seen in stored.proxy.seen)
    final = open_store(stored.bucket).stat(output)
    assert final is not None
    assert final.size > OUTPUTS * OUTPUT_BYTES
    return sent / final.size


def _seconds(source: str, output: str, folder: Path, environment: Mapping[str, str] | None = None) -> float:
    return measure([*RUNNER, source, output, "--force"], folder / "log", environment).seconds
