"""A gigabyte of output of each kind that has once cost memory or time without bound (``make memory``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import nbstep
from benchmarks.measure import Measure, measure
from benchmarks.workloads import Workload

LINES = "lines"
KINDS = {
    LINES: "block = ('x' * 99 + '\\n') * 10_000\nfor _ in range(1000): print(block, end='')",
    "text without a line break": "block = 'x' * 10**6\nfor _ in range(1000): print(block, end='')",
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
MOST_BYTES = 150 * 10**6
MOST_TO_LINES = 2.0


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

    def misses(self) -> list[str]:
        """The targets that are missed."""
        lines, _ = self.measures[LINES]
        return [
            f"{kind}: {run.peak_bytes / 1e6:.0f} MB in {run.seconds:.1f} s, lines in {lines.seconds:.1f} s"
            for kind, (run, _) in self.measures.items()
            if run.peak_bytes > MOST_BYTES or run.seconds > MOST_TO_LINES * lines.seconds
        ]


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
