"""Starting a sweep somewhere else, or finding that it is started already."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from nbstep.backends.protocol import Backend, Located, Phase, Plan
from nbstep.backends.registry import backend_named
from nbstep.errors import WaitTimeoutError
from nbstep.profiles.storage import store_of
from nbstep.runs.run import Run
from nbstep.submission.again import remember
from nbstep.submission.upload import upload
from nbstep.sweeps.elsewhere import PlacedSweep
from nbstep.sweeps.submitted import SubmittedSweep
from nbstep_runner.contract import OUTPUT, encode
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import ABSENT

END_SECONDS: Final = 120.0
"""How long a sweep that was cancelled may take to end before the same one is started anew."""
LOOK_SECONDS: Final = 0.5


def planned(placed: PlacedSweep) -> Plan:
    """What would be sent to the backend."""
    return backend_named(placed.submission.profile.on).plan(placed.submission)


def start_sweep(placed: PlacedSweep, *, patience: float = END_SECONDS) -> SubmittedSweep:
    """Build a sweep's image if there is none, upload what it reads, and start it. One that goes on is that sweep.

    Args:
        placed: It.
        patience: Seconds that the same sweep may take to end if it was cancelled.

    Raises:
        WaitTimeoutError: It was cancelled, and has not ended by then.
        OutputConflictError: Its place knows another run by its name.
        NbstepError: What keeps it from starting.
    """
    profile, places = placed.submission.profile, placed.places
    backend = backend_named(profile.on)
    request = backend.plan(placed.submission)
    located = Located(
        run_id=places.name, spec_uri=places.plan, output_uri=f"{places.folder}/{OUTPUT}", storage=profile.storage
    )
    sweep = SubmittedSweep(Run(request.handle, located, backend))
    found = store_of(places.plan, profile.storage).stat(places.plan) if placed.stored else None
    if _goes_on(backend, request.handle, patience):
        if placed.stored:
            _check_same(backend, request.handle, placed.submission.spec_uri)
        return sweep
    if placed.image is not None:
        placed.image.provide()
    if not placed.stored:
        backend.submit(request)
        return sweep
    upload(placed.uploads, profile.storage)
    store = store_of(places.plan, profile.storage)
    with suppress(OutputConflictError):  # another launcher has begun the same sweep meanwhile, and its plan stands
        store.write(places.plan, encode(placed.plan), if_version=found.version if found else ABSENT)
    backend.submit(request)
    remember(places.submission, request.handle, placed.submission, profile.storage)
    return sweep


def _check_same(backend: Backend, handle: str, plan: str) -> None:
    """Whether what goes on by that handle, which may not name the folder, is the sweep of that plan.

    Raises:
        OutputConflictError: It is another run or sweep.
    """
    if backend.locate(handle).spec_uri != plan:
        raise OutputConflictError(f"another run goes on as {handle}", hint="Give the sweep another name.")


def _goes_on(backend: Backend, handle: str, patience: float) -> bool:
    """Whether a sweep is under way; one that was cancelled is waited for, since it ends."""
    deadline = time.monotonic() + patience
    while (seen := backend.statuses([handle])[handle]).phase in (Phase.PENDING, Phase.RUNNING):
        if not seen.cancelled:
            return True
        if time.monotonic() >= deadline:
            raise WaitTimeoutError(f"the same sweep was cancelled, and has not ended: {seen.words}")
        time.sleep(LOOK_SECONDS)
    return False
