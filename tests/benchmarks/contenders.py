"""Who is measured, each as its user starts it: nbstep, papermill, ``jupyter execute``, ploomber-engine, the floor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

Command = Callable[[Path, Path], list[str]]

BIN = Path(sys.executable).parent
FLOOR = Path(__file__).with_name("floor.py")
PLOOMBER_ENGINE = Path(sys.prefix) / "ploomber/bin/ploomber-engine"
"""``make bench`` installs it there."""


def nbstep(notebook: Path, output: Path) -> list[str]:
    """The runner, with everything that it does by default."""
    return [str(BIN / "nbstep-runner"), str(notebook), str(output)]


def papermill(notebook: Path, output: Path) -> list[str]:
    """papermill, logging the output too."""
    return [str(BIN / "papermill"), "--log-output", "--no-progress-bar", str(notebook), str(output)]


def jupyter_execute(notebook: Path, output: Path) -> list[str]:
    """nbclient's own command; it logs no output."""
    return [str(BIN / "jupyter-execute"), f"--output={output}", str(notebook)]


def ploomber_engine(notebook: Path, output: Path) -> list[str]:
    """Cells executed in the engine's own process: nothing can be killed or measured by itself."""
    command = ["env", "PLOOMBER_STATS_ENABLED=false", str(PLOOMBER_ENGINE)]  # it would tell its makers of each run
    return [*command, "--log-output", "--no-progress-bar", str(notebook), str(output)]


def floor(notebook: Path, _: Path) -> list[str]:
    """A stock kernel driven by hand: nothing is saved, nothing is logged."""
    return [sys.executable, str(FLOOR), str(notebook)]


NBSTEP, PAPERMILL, JUPYTER, PLOOMBER, FLOOR_NAME = "nbstep", "papermill", "jupyter execute", "ploomber-engine", "floor"
CONTENDERS: dict[str, Command] = {
    NBSTEP: nbstep,
    PAPERMILL: papermill,
    JUPYTER: jupyter_execute,
    PLOOMBER: ploomber_engine,
    FLOOR_NAME: floor,
}
