"""Whether runs can take place as a profile says, found out before one is needed: for ``nbstep doctor``."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from nbstep.backends.reach import reach_of
from nbstep.backends.registry import backend_named, runs_here
from nbstep.backends.stores import folder_of_runs
from nbstep.errors import WaitTimeoutError
from nbstep.profiles import Profile
from nbstep.profiles.storage import store_of
from nbstep.runs.removal import remove_run
from nbstep.runs.run import Run
from nbstep.submission.removal import remove
from nbstep.submission.request import Prepared, Request, prepare
from nbstep_runner.contract import RunResult, moment_of
from nbstep_runner.errors import NbstepError, OutputConflictError
from nbstep_runner.stores import join

MOST_SKEW: Final = 30.0
"""Seconds by which two clocks may differ before times of runs mislead."""
DEEP_SECONDS: Final = 600.0
END_SECONDS: Final = 60.0
"""How long a small run that was cancelled may take to end."""
HELLO: Final = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {"cell_type": "code", "id": "hello", "metadata": {}, "execution_count": None, "outputs": [], "source": "1 + 1"}
    ],
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        words: What was found.
        remedy: What to do about it; empty if it works.
    """

    name: str
    words: str
    remedy: str = ""


def check_up(profile: Profile, start: Callable[[Prepared], Run], *, deep: bool) -> Iterator[Finding]:
    """Look at one thing after another; what cannot work any more because of an earlier one is not tried.

    Args:
        profile: Where runs are to take place.
        start: Starts a prepared run.
        deep: Make a small run there, and remove it where that can be done from here. On this machine that is always
            done.
    """
    yield Finding("profile", f"runs take place on {profile.on}")
    looks, name = {profile.on: _place(profile)}, profile.on
    try:
        backend = backend_named(profile.on)
        if deep or runs_here(profile.on):
            looks["a small run"] = _small_run(profile, start)
        if reach_of(backend, profile).uploads:
            looks = {"runs folder": _runs_folder(profile), **looks}
        for name, look in looks.items():  # noqa: B007 - an error is told under the name of what was looked at
            yield from look
    except NbstepError as error:
        yield Finding(name, error.message, error.hint or "Mend that, and ask again.")


def _runs_folder(profile: Profile) -> Iterator[Finding]:
    """The folder of all runs, written to from here; and the clock of its store."""
    folder = folder_of_runs(profile)
    uri = join(folder, f".nbstep-doctor-{secrets.token_hex(4)}")
    store = store_of(uri, profile.storage)
    store.write(uri, b"nbstep doctor")
    stat = store.stat(uri)
    store.delete(uri)
    yield Finding("runs folder", f"{folder} is written to from here")
    if stat is not None and stat.modified:
        yield _clock("clock of the store", stat.modified)


def _clock(name: str, theirs: float) -> Finding:
    apart = theirs - datetime.now(UTC).timestamp()
    if abs(apart) <= MOST_SKEW:
        return Finding(name, "agrees with this machine's")
    return Finding(name, f"is {apart:+.0f} s from this machine's", "Let both be set by NTP.")


def _place(profile: Profile) -> Iterator[Finding]:
    """What the backend itself can say without starting anything."""
    backend: Any = backend_named(profile.on)
    with _hello(profile) as prepared:
        plan = backend.plan(prepared.submission)
        if hasattr(backend, "check"):
            yield Finding(profile.on, backend.check(plan))


def _small_run(profile: Profile, start: Callable[[Prepared], Run]) -> Iterator[Finding]:
    with _hello(profile) as prepared:
        record = _ended(prepared, start)
    left = "it wrote to the runs folder from there"
    if not prepared.stored:
        left = f"the run {record.run_id} stays at the service, which alone removes runs"
    yield from _of_record(record, left)


def _ended(prepared: Prepared, start: Callable[[Prepared], Run]) -> RunResult:
    """The record of a run once it has ended; nothing of it is left, whatever happens, but at a service."""
    places = prepared.places
    try:
        run = start(prepared)
    except BaseException:
        if prepared.stored:  # what was uploaded for a run that then could not be started
            remove_run(store_of(places.folder, prepared.storage), places.folder, places.found_by)
        raise
    try:
        return run.wait(DEEP_SECONDS, check=False)
    except (WaitTimeoutError, KeyboardInterrupt):
        run.cancel()
        run.wait(END_SECONDS, check=False)
        raise
    finally:
        if prepared.stored:
            with suppress(OutputConflictError):  # what does not end keeps its folder
                remove(run)


def _of_record(record: RunResult, left: str) -> Iterator[Finding]:
    """What a record tells, and what is left of its run."""
    if record.error is not None:
        yield Finding("a small run", f"{record.state}: {record.error.message}; {left}", record.error.hint)
        return
    yield Finding("a small run", f"{record.state} in {record.seconds or 0:.1f} s; {left}")
    environment = record.environment
    if environment is not None:
        own = version("nbstep")
        remedy = "" if environment.nbstep == own else f"Use an image that has nbstep {own}."
        yield Finding("runner", f"nbstep {environment.nbstep} there, {own} here", remedy)
        yield Finding("kernel", f"{environment.kernel}, Python {environment.python}")
    if ended := moment_of(record.ended_at or ""):
        yield _clock("clock of the run", ended.timestamp())


@contextmanager
def _hello(profile: Profile) -> Iterator[Prepared]:
    """A run of the smallest notebook, in a folder of runs as any other."""
    with tempfile.TemporaryDirectory(prefix="nbstep-") as folder:
        notebook = Path(folder, "doctor.ipynb")
        notebook.write_text(json.dumps(HELLO))
        yield prepare(Request(notebook=str(notebook), profile=profile, spec={"html": False}))
