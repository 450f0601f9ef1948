"""``make bench-service``: a team's server under load: open streams of runs under way, and requests at an even rate.

The server is a process of its own, with callers known by a token, on a folder of this disk; runs under way are those of
the memory backend, each of which logs lines at an even rate. The load comes from this process, so on two cores each has
one. A request is due when the rate says so, and its time counts from then: a server that falls behind is asked no less.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp

import nbstep
from benchmarks.run_lists import run_id, write_runs
from nbstep.backends.memory import MemoryBackend
from nbstep.server.config_file import config_of
from nbstep.server.team.service import serve_team
from support import notebooks
from support.processes import memory_bytes

UNDER_WAY: Final = 20
"""Runs that are followed."""
TOKEN: Final = secrets.token_hex(32)
WAIT_SECONDS: Final = 120.0


@dataclass
class Heard:
    """What came of the load.

    Attributes:
        seconds: Of each request, from the moment that it was due.
        statuses: How many answers had each status.
        late: Of each line, seconds from its being logged.
        ids: Of the lines of each stream.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    ids: dict[int, list[str]] = field(default_factory=dict)


def serve(folder: Path, lines_per_second: float) -> None:
    """Be the server: until SIGTERM, with runs under way that log."""
    notebook = notebooks.write(folder / "load.ipynb", ["1"])
    profile = {"on": "memory", "runs": str(folder / "runs")}
    runs = [nbstep.submit(notebook, run_id=f"load-{number}", **profile) for number in range(UNDER_WAY)]  # type: ignore[arg-type]  # texts
    backend = cast("MemoryBackend", runs[0].backend)
    for run in runs:
        backend.begin(run.handle)

    def log() -> None:
        for turn in itertools.count():
            time.sleep(1 / lines_per_second / UNDER_WAY)
            backend.log(runs[turn % UNDER_WAY].handle, "a line", at=time.time())

    threading.Thread(target=log, daemon=True).start()
    rights = {"readers": ["load"], "submitters": ["load"], "profiles": ["here"]}
    document = {
        "folders": {"load": {"uri": str(folder / "runs"), **rights}},
        "profiles": {"here": {"on": "memory"}},
        "access": {"tokens": str(folder / "tokens.yaml")},
        "cache": str(folder / "cache"),
        "limits": {"requests_per_minute": 1_000_000, "streams": 1000},
    }
    serve_team(config_of(document, where="the load"), "127.0.0.1", 0, lambda address: print(address, flush=True))  # noqa: T201 - it is how the address is told


@contextmanager
def server(folder: Path, lines_per_second: float) -> Iterator[tuple[str, int]]:
    """The address and the process of a server, until the end of the block."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (folder / "tokens.yaml").write_text(json.dumps({"tokens": [{"name": "load", "sha256": digest}]}))
    command = [sys.executable, __file__, "--serve", str(folder), "--lines-per-second", str(lines_per_second)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip().rstrip("/"), process.pid
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


async def listen(client: aiohttp.ClientSession, number: int, opened: asyncio.Semaphore, heard: Heard) -> None:
    """Hear one stream for as long as the load lasts."""
    ids = heard.ids.setdefault(number, [])
    async with client.get(f"/v1/runs/load-{number % UNDER_WAY}/events") as stream:
        heard.statuses[stream.status] += 1
        opened.release()
        async for line in stream.content:
            if line.startswith(b"id: "):
                ids.append(line.removeprefix(b"id: ").decode().rstrip())
            elif line.startswith(b"data: ") and (told := json.loads(line.removeprefix(b"data: "))).get("at"):
                heard.late.append(time.time() - told["at"])


async def ask(client: aiohttp.ClientSession, path: str, due: float, heard: Heard) -> None:
    """One request that was due then."""
    async with client.get(path) as answer:
        await answer.read()
    heard.seconds.append(time.perf_counter() - due)
    heard.statuses[answer.status] += 1


async def load(address: str, arguments: argparse.Namespace) -> Heard:
    """Open the streams, and ask at the rate for so many seconds."""
    heard, opened = Heard(), asyncio.Semaphore(0)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(
        address, headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(WAIT_SECONDS)
    ) as client:
        async with client.get("/v1/runs") as answer:  # the first list of a folder is not what is measured
            await answer.read()
        streams = [asyncio.create_task(listen(client, number, opened, heard)) for number in range(arguments.streams)]
        for _ in streams:
            await opened.acquire()
        heard.late.clear()  # lines that were there before their listener are late by nobody's fault
        paths = itertools.cycle(_paths(arguments.runs))
        began, asked = time.perf_counter(), []
        for number in range(int(arguments.rate * arguments.seconds)):
            due = began + number / arguments.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(asyncio.create_task(ask(client, next(paths), due, heard)))
        await asyncio.gather(*asked)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    return heard


def _paths(runs: int) -> list[str]:
    """What is asked for, in turn: mostly single runs, finished and under way; lists; records."""
    finished = [f"/v1/runs/{run_id(number)}" for number in range(0, runs, max(1, runs // 50))]
    each = [
        (place, f"{place}/objects/output.result.json", f"/v1/runs/load-{number % UNDER_WAY}", "/v1/runs?limit=20")
        for number, place in enumerate(finished)
    ]
    return [path for four in each for path in four]


def tell(heard: Heard, pid: int, cpu: float, wall: float) -> bool:
    """Print the figures; whether everything was answered and no line was lost."""
    print(f"requests: {_spread(heard.seconds)}")  # noqa: T201 - what it is run for
    print(f"lines: {_spread(heard.late)}")  # noqa: T201 - what it is run for
    print(f"server: {memory_bytes(pid) / 2**20:.0f} MB at its peak, {cpu / wall:.2f} of a core")  # noqa: T201 - what it is run for
    whole = all(_is_whole(ids) for ids in heard.ids.values())
    print(f"answers by status: {dict(heard.statuses)}; lines lost or told twice: {'none' if whole else 'SOME'}")  # noqa: T201 - what it is run for
    return whole and set(heard.statuses) == {200}


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "too few to say"
    cuts = statistics.quantiles(seconds, n=100)
    named = {"median": cuts[49], "95 %": cuts[94], "99 %": cuts[98], "longest": max(seconds)}
    return f"{len(seconds)}, " + ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in named.items())


def _is_whole(ids: Sequence[str]) -> bool:
    return list(ids) == [f"1-{number}" for number in range(1, len(ids) + 1)]


def _cpu_seconds(pid: int) -> float:
    fields: Any = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # utime and stime, in the kernel's ticks for users: proc(5)


def main() -> int:
    """Load a server, or be it."""
    parser = argparse.ArgumentParser(prog="make bench-service", description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100, help="Requests a second.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=1000, help="Runs in the folder that have ended.")
    parser.add_argument("--lines-per-second", type=float, default=1, help="Of each run under way.")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve, arguments.lines_per_second)
        return 0
    with tempfile.TemporaryDirectory() as name:
        write_runs(Path(name, "runs"), range(arguments.runs))
        with server(Path(name), arguments.lines_per_second) as (address, pid):
            cpu, began = _cpu_seconds(pid), time.perf_counter()
            heard = asyncio.run(load(address, arguments))
            return 0 if tell(heard, pid, _cpu_seconds(pid) - cpu, time.perf_counter() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
