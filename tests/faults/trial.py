"""One fault in one run: what was there before, the fault, the checks, and a second attempt that has to succeed."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from support import processes
from support.notebooks import notebook
from support.runs import RUNNER, Done, Running, run, start

HELD_RUNNER = Path(__file__).with_name("held_runner.py")
OLD = json.dumps(notebook(["'the output of an earlier run'"]))
CELLS = [
    "print('first cell')",
    "import time\nprint('begun', flush=True)\nfor _ in range(20): time.sleep(0.02)",
    "from nbstep_runner import result\nresult('answer', 42)",
]
OPTIONS = ("--run-id", "work", "--autosave-cell-every", "0.05", "--stall-timeout", "1", "--start-timeout", "5")
SOON = 15.0
"""Seconds in which any run of this notebook has to end after a fault, the longest escalation included."""


def begin(folder: Path, *, point: str | None = None, command: Sequence[str] = RUNNER, **how: Any) -> Running:
    """Start the first attempt, over an old output; held at a point if one is named."""
    (folder / "out.ipynb").write_text(OLD)
    held = [sys.executable, str(HELD_RUNNER), point, str(folder)] if point else list(command)
    return start(folder, CELLS, *OPTIONS, command=held, **how)


def reach(running: Running, folder: Path) -> None:
    """Wait until the run is held at its point."""
    came = processes.until(lambda: (folder / "reached").exists() or running.ended, 60)
    assert came, "the run came to no barrier"
    assert (folder / "reached").exists(), f"the run ended before its barrier: {running.shown}{running.complained}"


def end(running: Running, codes: Collection[int]) -> tuple[Done, float]:
    """Wait for the end, check the promises and the exit code; the run, and the seconds it took."""
    began = time.monotonic()
    done = running.finish(SOON)
    if done.code in BEFORE_ANYTHING or (done.code == 1 and done.stderr.startswith(NOT_STARTED)):
        assert done.stdout == ""
        assert not (done.output.parent / "out.result.json").exists()
        return done, time.monotonic() - began
    assert done.code in codes, f"exit code {done.code} is none of {sorted(codes)}: {done.stdout[-3000:]}{done.stderr}"
    record = done.output.parent / "out.result.json"
    if done.code == -signal.SIGKILL and record.exists():  # its watchdog has settled it, which is gone by now
        assert json.loads(record.read_text())["state"] != "running"
    return done, time.monotonic() - began


def again(folder: Path, **how: Any) -> Done:
    """The second attempt: of the same run where that may end differently, else a new run of the same output."""
    record = folder / "out.result.json"
    first = json.loads(record.read_text()) if record.exists() else {}
    error = first.get("error")
    final_failure = error is not None and not error["retryable"] and first["state"] == "failed"
    run_id = "another" if final_failure else "work"
    done = run(folder, folder / "in.ipynb", "--run-id", run_id, "--attempt", "2", **how)
    assert (done.code, done.record["state"]) == (0, "succeeded"), done.stdout[-3000:]
    assert done.record["results"] == {"answer": 42}
    assert done.cells[0].outputs[0].text == "first cell\n"
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith((".nbstep-", "out.partial")))
    assert [name for name in left if name.startswith("out.partial")] in ([], ["out.partial.ipynb"])
    return done


CODES = {
    signal.SIGKILL: {-signal.SIGKILL, 0},
    signal.SIGTERM: {143, 0},
    signal.SIGINT: {130, 0},
    signal.SIGHUP: {143, 0},
    signal.SIGSTOP: {0},
}
"""What a run may end with after a signal; 0 where it was done already."""

BEFORE_ANYTHING = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
"""While the interpreter still starts, a signal ends it in its own way: then nothing may have been said or written."""
NOT_STARTED = "Fatal Python error: init_import_site"
"""What Python says, and ends with 1, where SIGINT comes while it imports ``site``, before any code of ours."""
