"""How long a printed line takes until it is in the log."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import nbstep
from benchmarks.measure import measured_environment
from benchmarks.targets import SECONDS, Measured
from benchmarks.workloads import Workload

LINES = 100
PAUSE = 0.1
CELL = f"import time\nfor _ in range({LINES}):\n    print('printed at', time.time())\n    time.sleep({PAUSE})"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the print to the log's line."""

    median: float
    p95: float

    def sentence(self) -> str:
        """The figures in words."""
        return f"print to log: median {self.median * 1000:.1f} ms, 95th percentile {self.p95 * 1000:.1f} ms"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("print to log, 95th percentile", SECONDS, self.p95)


def measure_latency(folder: Path) -> Latency:
    """Print a line every tenth of a second, and read the log as it comes."""
    notebook = Workload(name="lines", cells=lambda: [CELL]).write(folder)
    command = nbstep(notebook, folder / "lines.out.ipynb")
    delays = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=measured_environment()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.time()
            message = json.loads(line)["message"]
            if message.startswith("printed at "):
                delays.append(now - float(message.split()[-1]))
    assert (process.returncode, len(delays)) == (0, LINES)
    return Latency(statistics.median(delays), statistics.quantiles(delays, n=20)[-1])
