"""Large outputs on their way to a store, beside what the store's own client reaches with the same bytes."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import boto3

from benchmarks.measure import measure
from benchmarks.targets import TO_CLIENT, Measured
from benchmarks.workloads import ENDED_VARIABLE, MARK_END, Workload
from servers import versitygw
from support.runs import RUNNER

ROUNDS = 3
NOTEBOOK, FILES = "1 GB output notebook", "2 GB of collected files"
UNLIMITED = ("--cell-output-limit", "2G", "--notebook-output-limit", "2G")
SHOW = """
import base64, os
from IPython.display import display
image = {'image/png': base64.b64encode(os.urandom(7_500_000)).decode()}
for _ in range(100): display(image, raw=True)
"""
WRITE = """
import os
for number in range(20):
    with open(f'part-{number}.bin', 'wb') as file:
        file.write(os.urandom(100_000_000))
"""


@dataclass(frozen=True, slots=True)
class Seconds:
    """From the end of the last cell to the end of the run, and what boto3 takes for the same bytes; medians."""

    run: float
    client: float

    @property
    def speed(self) -> float:
        """The run's speed to the client's."""
        return self.client / self.run


@dataclass(frozen=True, slots=True)
class Transfers:
    """By what is stored."""

    seconds: dict[str, Seconds]

    def sentence(self) -> str:
        """The figures in words."""
        return "\n".join(
            f"{name}: {each.run:.2f} s after the last cell, boto3 {each.client:.2f} s; {each.speed:.2f} of its speed"
            for name, each in self.seconds.items()
        )

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        for name, each in self.seconds.items():
            yield Measured(name, TO_CLIENT, each.speed)


def measure_transfers(folder: Path) -> Transfers:
    """Store each by a run and by boto3, in turn, on a server that keeps its objects as files."""
    place = folder / "transfers"
    place.mkdir()
    with versitygw.running(place) as server:
        server.make_bucket("bench")
        with patch.dict(os.environ, server.environment()):
            return Transfers(
                {
                    NOTEBOOK: _measured(place, server, SHOW, *UNLIMITED),
                    FILES: _measured(place, server, WRITE, "--collect", "*.bin"),
                }
            )


def _measured(place: Path, server: versitygw.GatewayServer, cell: str, *options: str) -> Seconds:
    notebook = Workload(name="stored", cells=lambda: [cell, MARK_END]).write(place)
    ended, runs, clients = place / "ended", [], []
    for turn in range(ROUNDS):
        folder = f"{'files' if options[0] == '--collect' else 'notebook'}-{turn}"
        work = place / folder
        work.mkdir()
        command = [*RUNNER, str(notebook), f"s3://bench/{folder}/out.ipynb", "--cwd", str(work), *options]
        measure(command, Path(os.devnull), {ENDED_VARIABLE: str(ended)})
        runs.append(time.time() - float(ended.read_text()))
        stored = server.root / "bench" / folder
        os.sync()
        clients.append(_upload(sorted([*stored.rglob("*.bin")] or [*stored.glob("*.ipynb")]), f"{folder}/again/"))
        os.sync()
        for used in (stored, work):
            shutil.rmtree(used)
    return Seconds(statistics.median(runs), statistics.median(clients))


def _upload(files: Sequence[Path], prefix: str) -> float:
    """Seconds that boto3 takes, one file after another, each in parts at once as it does by default."""
    client = boto3.client("s3")
    began = time.monotonic()
    for file in files:
        client.upload_file(str(file), "bench", prefix + file.name)
    return time.monotonic() - began
