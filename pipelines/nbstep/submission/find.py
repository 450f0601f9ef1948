"""A run that was submitted, found again by its handle, by its id, or by its executed notebook."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from nbstep.backends.protocol import Backend, Located
from nbstep.backends.reach import reach_of
from nbstep.backends.recorded import RecordedBackend
from nbstep.backends.registry import backend_named, backend_of
from nbstep.backends.stores import folder_of_runs, keeper_of, named_runs, store_of
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep.profiles.storage import absolute
from nbstep.profiles.volume_claims import here
from nbstep.runs.run import Run
from nbstep.submission.places import RunPlaces, SweepPlaces
from nbstep_runner.contract import OUTPUT, PLAN, RECORD_ENDING, RunResult, StorageOptions, decode
from nbstep_runner.errors import InputNotFoundError, UsageError
from nbstep_runner.stores import join, redact, sibling


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """``submission.json``: where a run, or a sweep, was sent.

    Attributes:
        sweep: It is a sweep's.
        profile: What it was sent with; see :func:`nbstep.submission.again.kept_profile`.
    """

    handle: str
    on: str
    submitted_at: str
    image: str | None = None
    profile: dict[str, Any] = {}
    sweep: bool = False
    schema_version: int = 1


def find_run(name: str, chosen: Profile) -> Run:
    """The run of that name, or the sweep, whose spec's place is that of its plan; see :func:`nbstep.find`.

    Raises:
        RunNotFoundError: Neither its place nor the profile's folder knows it, or a beginning fits several.
        UsageError: It is empty, such as a script's variable that was never set: every id begins so.
    """
    if not name.strip():
        raise UsageError("the name of the run is empty", hint="Write its id, its string, or `latest`.")
    keeper = keeper_of(name, chosen)
    if name.endswith(".ipynb"):
        return _of_output(absolute(here(name, chosen.kubernetes.claims)), chosen.storage)
    if "://" in name:
        backend = keeper or backend_of(name)
        try:
            handle = getattr(backend, "full_handle", str)(name)
            if handle == name or named_runs(chosen) is None:
                return Run(handle, _reachable(backend.locate(handle), backend, chosen), backend)
        except RunNotFoundError:
            if named_runs(chosen) is None or keeper is not None:
                raise
        name = name.rpartition("/")[2]  # its place has forgotten it, or may mean a run of another folder
    return _by_id(name, chosen)


def _of_output(uri: str, storage: StorageOptions) -> Run:
    """The run that wrote a notebook; its record names it."""
    place = sibling(uri, RECORD_ENDING)
    try:
        record = decode(store_of(place, storage).read(place).data, RunResult)
    except InputNotFoundError:
        raise RunNotFoundError(f"there is no record of a run beside {uri}") from None
    return Run(uri, Located(run_id=record.run_id, spec_uri="", output_uri=uri, storage=storage), RecordedBackend())


def _by_id(name: str, profile: Profile) -> Run:
    runs = folder_of_runs(profile)
    keeper_of(runs, profile)
    run_id = _latest(runs, profile) if name == "latest" else name
    found = _submitted(runs, run_id, profile.storage) or _beginning(runs, run_id, profile.storage)
    if found is None:
        raise RunNotFoundError(f"there is no run {name} below {redact(runs)}", hint=_hint_of_folder(name))
    return found


def _hint_of_folder(name: str) -> str:
    """What to do about a name that is that of a folder here; empty if there is none."""
    if not os.path.isdir(name):  # noqa: PTH112 - a Path raises for names that no folder can have
        return ""
    notebook = Path(name, OUTPUT)
    if os.path.exists(notebook):  # noqa: PTH110 - a Path raises where the folder may not be entered
        return f"Name its notebook: {notebook}"
    return f"List its runs with: nbstep list --runs {name}"


def _submitted(runs: str, run_id: str, storage: StorageOptions) -> Run | None:
    """The run of that id; one that something else started, such as a pipeline, is known by its record."""
    places = RunPlaces.of(runs, run_id)
    if (keeper := keeper_of(runs)) is not None:
        with suppress(RunNotFoundError):
            return Run(places.folder, keeper.locate(places.folder), keeper)
        return None
    if (found := submitted_at(places, run_id, storage)) is not None:
        return found
    store = store_of(places.record, storage)
    return _of_output(places.output, storage) if store.stat(places.record) is not None else None


def submitted_at(places: RunPlaces, run_id: str, storage: StorageOptions) -> Run | None:
    """The run, or sweep, that was submitted with this folder; ``None`` where nothing says that one was.

    Raises:
        StorageDeniedError, StorageUnavailableError: The folder cannot be read.
    """
    try:
        sent = decode(store_of(places.submission, storage).read(places.submission).data, Submitted)
    except InputNotFoundError:
        return None
    located = located_at(places, run_id, storage)
    if sent.sweep:
        located = replace(located, spec_uri=SweepPlaces(places.folder).plan)
    return Run(sent.handle, located, backend_of(sent.handle))


def _latest(runs: str, profile: Profile) -> str:
    """The id of the run that was last heard of."""
    from nbstep.runs.history import history  # who submits a run looks at no others

    newest = history(runs, storage=profile.storage, limit=1, keep=_names_a_folder)
    if not newest:
        raise RunNotFoundError(f"there is no run below {redact(runs)}")
    return newest[0].run_id


def _names_a_folder(record: RunResult) -> bool:
    """Whether its run can have a folder below that of all runs; a record that a notebook left may name any place."""
    return "/" not in record.run_id and record.run_id.strip(".") != ""


def _beginning(runs: str, beginning: str, storage: StorageOptions) -> Run | None:
    """The one run whose id begins so."""
    prefix = join(runs, "")
    names = {stat.uri.removeprefix(prefix).partition("/")[0] for stat in store_of(prefix, storage).list(prefix)}
    fitting = sorted(name for name in names if name.startswith(beginning))
    if len(fitting) > 1:
        some = ", ".join(fitting[:5])
        raise RunNotFoundError(
            f"{len(fitting)} runs below {redact(runs)} begin with {beginning}: {some}", hint="Write more of the id."
        )
    return _submitted(runs, fitting[0], storage) if fitting else None


def located_at(places: RunPlaces, run_id: str, storage: StorageOptions) -> Located:
    """The run whose objects lie there."""
    return Located(run_id=run_id, spec_uri=places.spec, output_uri=places.output, storage=storage)


def _reachable(located: Located, backend: Backend, profile: Profile) -> Located:
    """The objects of a run or a sweep where this machine reaches them, if the profile says that it does so otherwise.

    A run lies in the profile's folder, a sweep in the one that it was given.
    """
    if keeper_of(located.output_uri) is not None:
        return located
    named = named_runs(profile) is not None
    if located.spec_uri.endswith(f"/{PLAN}"):
        asked = profile if _is_of(profile, backend) else Profile()  # another place's says nothing of this
        plan = here(reach_of(backend, asked).claimed(located.spec_uri), profile.kubernetes.claims)
        return replace(located, spec_uri=plan, storage=profile.storage if named else located.storage)
    if not named:
        return located
    return located_at(RunPlaces.of(folder_of_runs(profile), located.run_id), located.run_id, profile.storage)


def _is_of(profile: Profile, backend: Backend) -> bool:
    with suppress(UsageError):  # its own is not installed here
        return backend_named(profile.on) is backend
    return False
