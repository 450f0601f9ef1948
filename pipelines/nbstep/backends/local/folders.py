"""What this machine knows of its runs: a folder for each, found by the run's handle.

A handle is ``local://KEY/ID``; the key stands for the place of the run's objects, so runs of one id below two folders
of runs are two runs. ``local://ID`` finds the run where only one has that id. The folder is ``ID.KEY`` below
``$XDG_STATE_HOME/nbstep/local`` (``~/.local/state`` by default), or ``ID`` where an older nbstep made it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nbstep.backends.protocol import checked_run_id
from nbstep.errors import RunNotFoundError
from nbstep.profiles.storage import folder_of_user
from nbstep_runner import processes
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import StorageDeniedError

SCHEME: Final = "local"
ELSEWHERE: Final = "Let XDG_STATE_HOME name a folder of your own."
_PROCESS: Final = "process.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which process a run is: a pid means the same one only within one boot and namespace, and with the same start."""

    pid: int
    started: int
    boot: str
    spec_uri: str
    output_uri: str
    storage: StorageOptions

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if not processes.host_identity().startswith(self.boot) or processes.started_at(self.pid) != self.started:
            return False
        with suppress(ChildProcessError):  # reap it, if it is a child of ours that has ended
            os.waitpid(self.pid, os.WNOHANG)
        return processes.runs(self.pid, self.started)


def process_of(folder: Path) -> Process | None:
    """The process of a run's folder; ``None`` before one was started.

    Raises:
        StorageDeniedError: The folder belongs to somebody else.
    """
    try:
        return msgspec.json.decode((folder / _PROCESS).read_bytes(), type=Process)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise StorageDeniedError(f"what is known of local runs in {folder} may not be read", hint=ELSEWHERE) from None


def write_process(folder: Path, process: Process) -> None:
    """Note the process of a run, in one step."""
    temporary = folder / f"{_PROCESS}.new"
    temporary.write_bytes(msgspec.json.encode(process))
    temporary.replace(folder / _PROCESS)


def handle_of(run_id: str, spec_uri: str) -> str:
    """The handle of the run whose spec lies there."""
    return f"{SCHEME}://{_key(spec_uri)}/{run_id}"


def id_of(handle: str) -> str:
    """The id of a handle's run."""
    return _parts(handle)[1]


def folder_of(handle: str) -> Path:
    """The folder of a handle's run, which need not be there yet.

    Raises:
        UsageError: This is no handle of a local run, or this user has no home.
        RunNotFoundError: The handle has no key, and several runs have its id.
    """
    key, run_id = _parts(handle)
    state = folder_of_user("XDG_STATE_HOME", "~/.local/state") / "nbstep/local"
    older = state / run_id
    process = process_of(older)
    if process is not None and key in ("", _key(process.spec_uri)):
        return older
    if key:
        return state / f"{run_id}.{key}"
    known = {folder: process for folder in sorted(state.glob(f"{run_id}.*")) if (process := process_of(folder))}
    if len(known) > 1:
        handles = (f"{handle_of(run_id, process.spec_uri)} for {process.output_uri}" for process in known.values())
        raise RunNotFoundError(
            f"{len(known)} local runs have the id {run_id}: {', '.join(handles)}",
            hint="Name the one that is meant by its whole handle, or by its id together with its folder of runs.",
        )
    return next(iter(known), older)


def _parts(handle: str) -> tuple[str, str]:
    """The key, empty where there is none, and the id."""
    key, _, run_id = handle.removeprefix(f"{SCHEME}://").rpartition("/")
    return key and checked_run_id(key), checked_run_id(run_id)


def _key(spec_uri: str) -> str:
    return hashlib.sha256(spec_uri.encode()).hexdigest()[:8]
