"""The runner, held at one point of its walk: ``held_runner.py POINT FOLDER INPUT OUTPUT …``.

The product has no hooks: this script wraps its functions from outside before it calls its ``main``, so nothing that a
user or an environment can set makes a real runner stop anywhere. At its point the run makes ``FOLDER/reached`` and goes
on once ``FOLDER/go`` exists.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from nbstep_runner.cli import main as cli
from nbstep_runner.cli import process
from nbstep_runner.engine import cell_run, notebook_run
from nbstep_runner.kernel import early, start
from nbstep_runner.session import claim, run, stored_output
from nbstep_runner.sinks import checkpoint
from nbstep_runner.stores import local

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
PATIENCE = 20.0


class Barrier:
    """Stops whoever comes first, until it is told to go."""

    def __init__(self, folder: Path) -> None:
        self._reached, self._go = folder / "reached", folder / "go"
        self._passed = False

    def hold(self) -> None:
        """Wait here, once."""
        if self._passed:
            return
        self._passed = True
        self._reached.touch()
        end = time.monotonic() + PATIENCE
        while not self._go.exists() and time.monotonic() < end:
            time.sleep(0.005)

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, held before it begins."""

        @wraps(function)
        def held(*arguments: Any, **named: Any) -> Any:
            self.hold()
            return function(*arguments, **named)

        return held

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, held after it has ended."""

        @wraps(function)
        def held(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            self.hold()
            return result

        return held

    def placing(self, ending: str, *, running: bool | None, late: bool) -> Wrap:
        """Of ``local._place``: held when a file of that ending is about to get its name, or has just got it.

        ``running`` tells a claim from a final record by what is written.
        """

        def wrap(place: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(place)
            def held(temporary: Path, path: Path, *rest: Any) -> Any:
                wanted = path.name.endswith(ending) and "partial" not in path.name.removesuffix(ending)
                if wanted and running is not None:
                    wanted = (b'"state": "running"' in temporary.read_bytes()) is running
                if wanted and not late:
                    self.hold()
                result = place(temporary, path, *rest)
                if wanted and late:
                    self.hold()
                return result

            return held

        return wrap


def points(barrier: Barrier) -> dict[str, tuple[object, str, Wrap]]:
    """What is wrapped, and how, at each point, in the order of a run's walk."""

    def placed(ending: str, *, running: bool | None = None, late: bool) -> tuple[object, str, Wrap]:
        return local, "_place", barrier.placing(ending, running=running, late=late)

    return {
        "launched": (early, "launch_early", barrier.after),
        "begun": (process, "become_subreaper", barrier.before),
        "fetch": (run, "fetch", barrier.before),
        "fetched": (run, "fetch", barrier.after),
        "claim": (claim.OutputClaim, "take", barrier.before),
        "claim-placing": placed(".result.json", running=True, late=False),
        "claim-placed": placed(".result.json", running=True, late=True),
        "kernel-start": (start, "await_ready", barrier.before),
        "kernel-ready": (start, "await_ready", barrier.after),
        "cell": (cell_run.CellRun, "run", barrier.before),
        "checkpoint": (checkpoint.Checkpointer, "_write", barrier.before),
        "checkpoint-placing": placed(".partial.ipynb", late=False),
        "checkpoint-placed": placed(".partial.ipynb", late=True),
        "kernel-end": (notebook_run, "_end_kernel", barrier.before),
        "confirm": (claim.OutputClaim, "confirm", barrier.before),
        "output": (stored_output.StoredOutput, "_place_notebook", barrier.before),
        "output-placing": placed(".ipynb", late=False),
        "output-placed": placed(".ipynb", late=True),
        "partial-removed": (stored_output.StoredOutput, "_remove_partial", barrier.after),
        "commit": (claim.OutputClaim, "commit", barrier.before),
        "commit-placing": placed(".result.json", running=False, late=False),
        "commit-placed": placed(".result.json", running=False, late=True),
        "log-placing": placed(".log.jsonl", late=False),
        "log-placed": placed(".log.jsonl", late=True),
    }


def main() -> None:
    """Build the barrier in and run."""
    point, folder = sys.argv[1], Path(sys.argv[2])
    del sys.argv[1:3]
    owner, name, wrap = points(Barrier(folder))[point]
    setattr(owner, name, wrap(getattr(owner, name)))
    cli.main()


if __name__ == "__main__":
    main()
