"""A gigabyte of output of each kind that has once cost memory or time without bound (``make memory``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.contenders import nbstep
from benchmarks.measure import Measure, measure
from benchmarks.targets import MEGABYTES, TO_LINES, Measured
from benchmarks.workloads import Workload

LINES = "lines"
UNBROKEN = "text without a line break"
NULS, PROCESS, COMMAND = "NULs", "zeros of a process", "zeros of a command"
NO_LINES = {
    UNBROKEN: "1 GB without a line break",
    NULS: "1 GB of NULs",
    PROCESS: "1 GB of NULs of a process",
    COMMAND: "1 GB of NULs of a command",
}
KINDS = {
    LINES: "block = ('x' * 99 + '\\n') * 10_000\nfor _ in range(1000): print(block, end='')",
    UNBROKEN: "block = 'x' * 10**6\nfor _ in range(1000): print(block, end='')",
    NULS: "block = '\\0' * 10**6\nfor _ in range(1000): print(block, end='')",
    PROCESS: "import os\nos.system('head -c 1G /dev/zero')",
    COMMAND: "!head -c 1G /dev/zero",
    "twenty images of 10 MB": (
        "import base64, os\nfrom IPython.display import display\nfor _ in range(20):\n"
        "    display({'image/png': base64.b64encode(os.urandom(7_500_000)).decode()}, raw=True)"
    ),
    "updates of a display": (
        "from IPython.display import display\nhandle = display('', display_id=True)\n"
        "for _ in range(1000): handle.update({'text/plain': 'y' * 10**6}, raw=True)"
    ),
}
UNLIMITED = ("--cell-output-limit", "1G", "--notebook-output-limit", "1G")
AT_REST = """
import os, time
from pathlib import Path
time.sleep(1)
pid = os.getpid()
for _ in range(2):
    status = Path(f"/proc/{pid}/status").read_text().split()
    pid = status[status.index("PPid:") + 1]
    status = Path(f"/proc/{pid}/status").read_text().split()
    print(int(status[status.index("VmRSS:") + 1]) * 1024)
"""
REST = Workload(name="rest", cells=lambda: [AT_REST])
"""Its cell looks at its kernel's parent, the helper, and at that one's parent, the runner."""


@dataclass(frozen=True, slots=True)
class Memory:
    """By kind: what the run took, and the peak of its kernel in bytes."""

    measures: dict[str, tuple[Measure, int]]

    def sentence(self) -> str:
        """The figures in words."""
        return "\n".join(
            f"{kind}: {run.seconds:.1f} s, runner {run.peak_bytes / 1e6:.0f} MB, kernel {kernel / 1e6:.0f} MB"
            for kind, (run, kernel) in self.measures.items()
        )

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        runs = {kind: run for kind, (run, _) in self.measures.items()}
        for kind, name in NO_LINES.items():
            yield Measured(name, TO_LINES, runs[kind].seconds / runs[LINES].seconds)
        yield Measured("1 GB of any kind", MEGABYTES, max(run.peak_bytes for run in runs.values()) / 1e6)


@dataclass(frozen=True, slots=True)
class Rest:
    """Bytes of resident memory of the processes beside a kernel, while its cell does nothing."""

    runner: int
    helper: int

    def sentence(self) -> str:
        """The figures in words."""
        return f"at rest: runner {self.runner / 1e6:.0f} MB, helper {self.helper / 1e6:.0f} MB"

    def measured(self) -> Iterator[Measured]:
        """What there is a target for."""
        yield Measured("runner and helper at rest", MEGABYTES, self.total / 1e6)

    @property
    def total(self) -> int:
        """Of both; what they share counts twice."""
        return self.runner + self.helper

    @classmethod
    def of(cls, executed: Path) -> Self:
        """What the cell of ``REST`` has printed."""
        (printed,) = json.loads(executed.read_bytes())["cells"][0]["outputs"]
        helper, runner = map(int, "".join(printed["text"]).split())
        return cls(runner, helper)


def measure_rest(folder: Path) -> Rest:
    """Run it here."""
    output = folder / "rest-out.ipynb"
    measure([*nbstep(REST.write(folder), output), "--force"], folder / "log")
    return Rest.of(output)


def measure_memory(folder: Path) -> Memory:
    """Run each kind once; its log, of some gigabytes, is not kept."""
    return Memory({kind: _measured(kind, source, folder) for kind, source in KINDS.items()})


def _measured(kind: str, source: str, folder: Path) -> tuple[Measure, int]:
    notebook = Workload(name="memory", cells=lambda: [source]).write(folder)
    output = folder / "memory-out.ipynb"
    options = UNLIMITED if "images" in kind else ()
    run = measure([*nbstep(notebook, output), "--force", *options], Path("/dev/null"))
    record = json.loads(output.with_suffix(".result.json").read_bytes())
    output.with_suffix(".log.jsonl").unlink()
    return run, record["cells"][0]["peak_memory_bytes"]
