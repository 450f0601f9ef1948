"""The folder that survives: what a notebook keeps between the attempts of its run, and how it is kept.

In a notebook::

    from nbstep_runner import state

    state.folder     # a Path; what lies there is there again in the next attempt
    state.restored   # whether an earlier attempt has left something
    state.save()     # save now; it is saved with each checkpoint and at the end of the run too

A run keeps it where it was started with ``state=True`` or ``--keep-state``. In one that keeps none the folder ends with
the run. Outside of a run it is ``NAME-state`` beside the notebook ``NAME.ipynb`` (``notebook-state`` where the name is
not known), and stays.

This module is all that runs in the notebook's process. The modules below are the runner's: ``generations`` says what is
stored and where, ``saving`` and ``restoring`` do that, ``desk`` is where a run's folder lies and who asks for a save.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["folder", "restored", "save"]

VARIABLE: Final = "NBSTEP_STATE_DIR"
SOCKET: Final = "save.sock"
RESTORED: Final = "restored"
"""Beside a run's folder: where a save is asked for, and what is there if the folder was restored."""
_RUN: Final = "NBSTEP_RUN_TOKEN"

folder: Path
restored: bool


def __getattr__(name: str) -> Any:
    """``folder`` and ``restored``, found out when they are first used."""
    if name in {"folder", "restored"}:
        place, was_there = _place()
        return place if name == "folder" else was_there
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def save() -> bool:
    """Save the folder as it is now, and return once that is done.

    Returns:
        Whether it is stored. ``False`` where nothing is to be saved, because this is no run, or one that keeps no
        state, and where it could not be saved: the run's log and record say why, and the notebook goes on.
    """
    door = _place()[0].parent / SOCKET
    if VARIABLE not in os.environ or not door.exists():
        return False
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(door))
            asked.sendall(b"save\n")
            answer = asked.makefile("rb").readline()
    except OSError as error:
        warnings.warn(f"the state was not saved: {error.strerror or error}", stacklevel=2)
        return False
    return bool(answer) and json.loads(answer)["saved"] is True


@cache
def _place() -> tuple[Path, bool]:
    if given := os.environ.get(VARIABLE):
        place = Path(given)
        place.mkdir(parents=True, exist_ok=True)
        inside_of_run = (place.parent / SOCKET).exists()
        return place, (place.parent / RESTORED).exists() if inside_of_run else _holds_something(place)
    if token := os.environ.get(_RUN):
        warnings.warn("this run keeps no state: start it with --keep-state or state=True", stacklevel=3)
        place = Path(tempfile.mkdtemp(prefix=f"nbstep-{token[:12]}-state-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        return place, False
    place = Path.cwd() / f"{_name_of_notebook()}-state"
    place.mkdir(exist_ok=True)
    return place, _holds_something(place)


def _holds_something(place: Path) -> bool:
    return next(place.iterdir(), None) is not None


def _name_of_notebook() -> str:
    """As Jupyter's server or VS Code tells it, or a script's own name."""
    main = vars(sys.modules["__main__"])
    told = os.environ.get("JPY_SESSION_NAME", "")
    path = told if told.endswith(".ipynb") else main.get("__vsc_ipynb_file__") or main.get("__file__") or ""
    return Path(path).stem if Path(path).suffix in {".ipynb", ".py"} else "notebook"
