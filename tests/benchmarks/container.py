"""What a run costs in a container: the image's size, how long it builds, and how soon the first cell runs."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.memory import REST, Rest
from benchmarks.targets import MEGABYTES, MEGABYTES_MORE, SECONDS, SECONDS_MORE_THAN_PYTHON, Measured
from benchmarks.workloads import Workload
from servers import dockerd
from servers.docker_fixtures import IMAGE
from servers.dockerd import BASE, Docker

ROUNDS: Final = 7
FOLDER: Final = "/data"
CELL: Final = f"import time; open('{FOLDER}/began', 'w').write(str(time.time()))"
FIRST_CELL: Final = Workload(name="first cell", cells=lambda: [CELL])
DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from ``docker run`` until code runs: that of ``python -c``, and a notebook's first cell; medians."""

    python: float
    first_cell: float

    @property
    def more(self) -> float:
        """What the cell takes more."""
        return self.first_cell - self.python


@dataclass(frozen=True, slots=True)
class Container:
    """The image ``slim``, and runs in it.

    Attributes:
        size: Bytes of the image over its base's.
        build: Seconds that it takes to build again once its packages are cached.
        warm: With the image's files in memory.
        cold: With none of them, as on a node that starts its first pod; ``None`` where we may not forget them.
        rest: Memory beside a kernel whose cell waits.
    """

    size: int
    build: float
    warm: Start
    cold: Start | None
    rest: Rest

    def sentence(self) -> str:
        """The figures in words."""
        starts = {"warm": self.warm, "cold": self.cold}
        told = ", ".join(
            f"{name}: first cell after {start.first_cell:.2f} s, python -c after {start.python:.2f} s"
            for name, start in starts.items()
            if start
        )
        return (
            f"image slim: {self.size / 1e6:.0f} MB over its base, built again in {self.build:.0f} s; "
            f"{told}; {self.rest.sentence()}"
        )

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("image slim", MEGABYTES_MORE, self.size / 1e6)
        yield Measured("image slim, built again", SECONDS, self.build)
        yield Measured("first cell in a container", SECONDS_MORE_THAN_PYTHON, self.warm.more)
        if self.cold:
            yield Measured(
                "first cell in a container, nothing in the page cache", SECONDS_MORE_THAN_PYTHON, self.cold.more
            )
        yield Measured("runner and helper at rest in a container", MEGABYTES, self.rest.total / 1e6)


def measure_container(folder: Path) -> Container:
    """Build the image on a daemon of our own, and run it."""
    place, data = folder / "docker", folder / "data"
    for each in (place, data):
        each.mkdir()
    data.chmod(0o777)  # the image's user writes here
    with dockerd.running(place) as docker:
        dockerd.make_base(docker)
        docker.build(IMAGE)
        return Container(
            size=docker.inspect(IMAGE)["Size"] - docker.inspect(BASE)["Size"],
            build=docker.build(f"{IMAGE}-again", "--no-cache"),
            warm=_start(docker, data, cold=False),
            cold=_start(docker, data, cold=True) if os.access(DROP_CACHES, os.W_OK) else None,
            rest=_rest(docker, data),
        )


def _start(docker: Docker, data: Path, *, cold: bool) -> Start:
    notebook = FIRST_CELL.write(data)
    python, cell = [], []
    for _ in range(ROUNDS):
        python.append(_seconds(docker, data, "--entrypoint=python", IMAGE, "-c", CELL, cold=cold))
        cell.append(_seconds(docker, data, IMAGE, notebook.name, "out.ipynb", "--force", cold=cold))
    return Start(statistics.median(python), statistics.median(cell))


def _seconds(docker: Docker, data: Path, *command: str, cold: bool) -> float:
    """From the start of a container until the cell's code runs in it."""
    if cold:
        os.sync()
        DROP_CACHES.write_text("3")
        docker.call(
            "run", "--rm", "--network=none", "--entrypoint=/bin/true", IMAGE
        )  # what starts containers is in use
    began = time.time()
    _run(docker, data, *command)
    return float((data / "began").read_text()) - began


def _run(docker: Docker, data: Path, *command: str) -> None:
    docker.call("run", "--rm", "--network=none", f"--volume={data}:{FOLDER}", f"--workdir={FOLDER}", *command)


def _rest(docker: Docker, data: Path) -> Rest:
    output = data / "rest-out.ipynb"
    _run(docker, data, IMAGE, REST.write(data).name, output.name)
    return Rest.of(output)
