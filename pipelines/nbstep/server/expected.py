"""The place of a run, told from what the profiles of its folder would have started, and from nothing that lies there.

Whoever may write in a folder could otherwise have the server ask, or end, what is none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from nbstep.backends.protocol import Backend, Submission
from nbstep.backends.reach import reach_of
from nbstep.backends.registry import backend_named
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep.submission.places import RunPlaces, SweepPlaces
from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import UsageError


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a run or a sweep takes place, and what it is called there."""

    backend: Backend
    handle: str


def place_of(profiles: Iterable[Profile], runs: str, name: str, handle: str, *, sweep: bool = False) -> Expected | None:
    """The place of a run, if one of these profiles would have sent it there and the place says that it is this one.

    Args:
        profiles: Of the folder.
        runs: The folder in which the run has its own.
        name: Of that.
        handle: As it is stored with the run.
        sweep: It is a sweep.
    """
    for profile in profiles:
        with suppress(UsageError):  # such as a profile without an image, which submits nothing
            backend = backend_named(profile.on)
            submission = _submission(profile, reach_of(backend, profile).translate(runs), name, sweep=sweep)
            expected = backend.plan(submission).handle
            if expected == _whole(backend, handle) and _is_of(backend, expected, submission.spec_uri):
                return Expected(backend, expected)
    return None


def _submission(profile: Profile, runs: str, name: str, *, sweep: bool) -> Submission:
    """What would have been sent, as far as its name and place follow from it."""
    there = RunPlaces.of(runs, name)
    spec = RunSpec(run_id=name, input_uri=there.input, output_uri=there.output)
    if sweep:
        return Submission(spec=spec, spec_uri=SweepPlaces(there.folder).plan, profile=profile, workers=1)
    return Submission(spec=spec, spec_uri=there.spec, profile=profile)


def _whole(backend: Backend, handle: str) -> str:
    """A handle as this version of the backend writes it: one that was stored by an older version can be shorter."""
    whole = getattr(backend, "full_handle", None)
    with suppress(RunNotFoundError, UsageError):
        if whole is not None and handle.startswith(f"{backend.scheme}://"):
            return str(whole(handle))
    return handle


def _is_of(backend: Backend, handle: str, spec_uri: str) -> bool:
    """Whether what the place knows by that handle is the run whose spec lies there; one that it has forgotten is."""
    try:
        located = backend.locate(handle)
    except RunNotFoundError:
        return True
    return located.spec_uri == spec_uri
