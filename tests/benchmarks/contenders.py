"""Who is measured: nbstep, papermill, ``jupyter execute`` and the floor, each as its user starts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

Command = Callable[[Path, Path], list[str]]

BIN = Path(sys.executable).parent
FLOOR = Path(__file__).with_name("floor.py")


def nbstep(notebook: Path, output: Path) -> list[str]:
    """The runner, with everything that it does by default."""
    return [str(BIN / "nbstep-runner"), str(notebook), str(output)]


def papermill(notebook: Path, output: Path) -> list[str]:
    """papermill, logging the output too."""
    return [str(BIN / "papermill"), "--log-output", "--no-progress-bar", str(notebook), str(output)]


def jupyter_execute(notebook: Path, output: Path) -> list[str]:
    """nbclient's own command; it logs no output."""
    return [str(BIN / "jupyter-execute"), f"--output={output}", str(notebook)]


def floor(notebook: Path, _: Path) -> list[str]:
    """A stock kernel driven by hand: nothing is saved, nothing is logged."""
    return [sys.executable, str(FLOOR), str(notebook)]


NBSTEP, PAPERMILL, JUPYTER, FLOOR_NAME = "nbstep", "papermill", "jupyter execute", "floor"
CONTENDERS: dict[str, Command] = {
    NBSTEP: nbstep,
    PAPERMILL: papermill,
    JUPYTER: jupyter_execute,
    FLOOR_NAME: floor,
}
