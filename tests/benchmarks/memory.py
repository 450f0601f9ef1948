"""A gigabyte of output of each kind that has once cost memory or time without bound (``make memory``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import nbstep
from benchmarks.measure import Measure, measure
from benchmarks.targets import MEGABYTES, TO_LINES, Measured
from benchmarks.workloads import Workload

LINES = "lines"
UNBROKEN = "text without a line break"
KINDS = {
    LINES: "block = ('x' * 99 + '\\n') * 10_000\nfor _ in range(1000): print(block, end='')",
    UNBROKEN: "block = 'x' * 10**6\nfor _ in range(1000): print(block, end='')",
    "NULs": "block = '\\0' * 10**6\nfor _ in range(1000): print(block, end='')",
    "zeros of a process": "import os\nos.system('head -c 1G /dev/zero')",
    "zeros of a command": "!head -c 1G /dev/zero",
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
        yield Measured("1 GB without a line break", TO_LINES, runs[UNBROKEN].seconds / runs[LINES].seconds)
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
        yield Measured("runner and helper at rest", MEGABYTES, (self.runner + self.helper) / 1e6)


def measure_rest(folder: Path) -> Rest:
    """Let a cell look at its kernel's parent, the helper, and at that one's parent, the runner."""
    notebook = Workload(name="rest", cells=lambda: [AT_REST]).write(folder)
    output = folder / "rest-out.ipynb"
    measure([*nbstep(notebook, output), "--force"], folder / "log")
    (printed,) = json.loads(output.read_bytes())["cells"][0]["outputs"]
    helper, runner = map(int, "".join(printed["text"]).split())
    return Rest(runner, helper)


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
