"""A sweep made into what a backend starts: its runs as they are made there, and what has to lie there before.

Below the folder of all runs lie, beside the runs' own folders, the sweep's own and that of its inputs. Each is named by
what is in it: the same sweep has the same name, and a sweep with other sets reads the same inputs, so that a run that
both have is the same work.
"""

from __future__ import annotations

import hashlib
import math
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from nbstep.authoring.notebook import label_of
from nbstep.backends.protocol import Submission, Swept
from nbstep.backends.reach import reach_of
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import keeper_of, named_runs
from nbstep.images.requirements import RequirementLines
from nbstep.images.run_image import RunImage
from nbstep.profiles import Profile, overlaid
from nbstep.profiles.volume_claims import claims_in
from nbstep.submission import request as submission
from nbstep.submission.files import Files
from nbstep.submission.places import RunPlaces, SweepPlaces
from nbstep.sweeps.plan import PreparedSweep, SweepRequest, prepare
from nbstep_runner.contract import OUTPUT, Deadlines, ParameterSource, RunSpec, SweepSpec, encode
from nbstep_runner.errors import UsageError
from nbstep_runner.stores import Source, join

LONGEST_LABEL: Final = 30
HASH_LENGTH: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedSweep:
    """A sweep, ready to be uploaded and started.

    Attributes:
        plan: Its runs, as they are made there.
        places: Where its own objects lie, as this machine reaches them.
        uploads: Its inputs.
        image: What is to be built before it can start, if it is not there.
        stored: Whether its inputs and its plan are uploaded; otherwise the backend sends what it is made of.
        warnings: What whoever starts it should know.
    """

    submission: Submission
    plan: SweepSpec
    places: SweepPlaces
    uploads: tuple[tuple[str, Source], ...]
    image: RunImage | None = None
    stored: bool = True
    warnings: tuple[str, ...] = ()


def starts_sweeps(on: str) -> bool:
    """Whether a backend starts sweeps; one that is not installed here starts none."""
    with suppress(UsageError):
        return hasattr(backend_named(on), "sweep_workers")
    return False


def place(
    request: SweepRequest,
    profile: Profile,
    *,
    per_worker: int | None = None,
    files: Files = (),
    requirements: RequirementLines | None = None,
    name: str | None = None,
) -> PlacedSweep:
    """Read and check everything, and write nothing.

    Args:
        request: The sweep; its ``jobs`` are processes of the place.
        profile: Where, and with what.
        per_worker: Runs at once in each of them.
        files: What each run finds in its working directory.
        requirements: As of any run.
        name: Of the sweep's own folder; made of what the sweep is if ``None``.

    Raises:
        NbstepError: As :func:`nbstep.sweeps.plan.prepare` and :func:`nbstep.submission.request.prepare` have it.
        UsageError: The backend starts no sweeps.
    """
    backend = backend_named(profile.on)
    workers_of = getattr(backend, "sweep_workers", None)
    if workers_of is None:
        raise UsageError(f"the backend {profile.on!r} starts no sweeps", hint="Use docker, kubernetes or server.")
    if request.cold:
        raise UsageError("kernels are always forked elsewhere", hint="Without --cold; --no-preload is possible.")
    named = named_runs(profile) or ""
    if keeper_of(named) is not None and "://" not in request.output:
        request = replace(request, output=join(named, request.output))
    prepared = prepare(request)
    one = submission.prepare(_one_run(request, profile, files, requirements))
    reach = reach_of(backend, profile)
    folder, inputs = one.submission.spec_uri.rpartition("/")[0], _name_of_inputs(one)
    runs = RunPlaces(folder).runs
    template = _moved(one.submission.spec, folder, join(runs, inputs))
    workers, at_once = workers_of(request.jobs)
    at_once = per_worker or at_once or len(os.sched_getaffinity(0))
    specs = [
        replace(
            template,
            run_id=spec.run_id,
            output_uri=join(runs, f"{name}/{OUTPUT}"),
            parameters=tuple(ParameterSource.values(reach.translate(each.mapping)) for each in spec.parameters),
        )
        for name, spec in zip(prepared.names, prepared.plan.specs, strict=True)
    ]
    plan = replace(prepared.plan, specs=tuple(specs), jobs=at_once, retries=profile.retries)
    placed = _placed(prepared, plan, one, inputs, min(workers, math.ceil(len(specs) / at_once)), name)
    return placed if one.stored else _sent(placed, request, prepared, per_worker)


def _one_run(
    request: SweepRequest, profile: Profile, files: Files, requirements: RequirementLines | None
) -> submission.Request:
    """Its first run as if it were alone: what all of them have in common, checked as of any run."""
    spec = dict(request.spec)
    deadlines: Deadlines | None = spec.pop("deadlines", None)
    if deadlines is not None:  # what the call says goes before what the profile says
        given = {name: value for name, value in asdict(deadlines).items() if value != getattr(Deadlines(), name)}
        profile = overlaid(profile, {"deadlines": given})
    if "state" in spec:
        profile = overlaid(profile, {"state": spec.pop("state")})
    return submission.Request(
        notebook=request.notebook,
        profile=msgspec.structs.replace(profile, runs=request.output),
        sources=(*request.base, *request.sets[0]),
        files=files,
        requirements=requirements,
        unknown_parameters=request.unknown_parameters,
        spec=spec,
    )


def _name_of_inputs(one: submission.Prepared) -> str:
    digest = hashlib.sha256()
    for uri, source in one.inputs:
        digest.update(uri.removeprefix(one.places.folder).encode())
        digest.update(source.read_bytes() if isinstance(source, Path) else source)
    return f"inputs-{digest.hexdigest()[:HASH_LENGTH]}"


def _moved(spec: RunSpec, folder: str, inputs: str) -> RunSpec:
    """What all runs have in common, with its inputs in the folder that they share."""
    files = tuple(replace(file, uri=inputs + file.uri.removeprefix(folder)) for file in spec.files)
    return replace(spec, input_uri=inputs + spec.input_uri.removeprefix(folder), files=files)


def _placed(
    prepared: PreparedSweep, plan: SweepSpec, one: submission.Prepared, inputs: str, workers: int, name: str | None
) -> PlacedSweep:
    given = one.submission
    name = name or _name(plan, given.profile, workers)
    here, there = SweepPlaces.of(one.places.runs, name), SweepPlaces.of(_runs_of(plan), name)
    values = [source.mapping for spec in prepared.plan.specs for source in spec.parameters]
    claims = tuple(dict.fromkeys([*given.claims, *claims_in(values)]))
    spec = replace(plan.specs[0], run_id=name, output_uri=join(there.folder, OUTPUT), parameters=())
    moved = [(join(one.places.runs, inputs) + uri.removeprefix(one.places.folder), data) for uri, data in one.inputs]
    return PlacedSweep(
        submission=replace(given, spec=spec, spec_uri=there.plan, claims=claims, workers=workers),
        plan=plan,
        places=here,
        uploads=tuple(moved),
        image=one.image,
        stored=one.stored,
        warnings=tuple(dict.fromkeys([*prepared.warnings, *one.warnings])),
    )


def _sent(placed: PlacedSweep, request: SweepRequest, prepared: PreparedSweep, per_worker: int | None) -> PlacedSweep:
    """The same with what it is made of, for a backend that sends that itself."""
    given, sets = placed.submission, prepared.plan.sets
    shared = {
        name: value
        for spec, own in zip(prepared.plan.specs, sets, strict=True)
        for source in spec.parameters
        for name, value in source.mapping.items()
        if name not in own
    }
    swept = Swept(sets=sets, jobs=request.jobs, per_worker=per_worker, preload=request.preload)
    brought = None if given.brought is None else replace(given.brought, parameters=shared, swept=swept)
    return replace(placed, submission=replace(given, brought=brought))


def _runs_of(plan: SweepSpec) -> str:
    return plan.specs[0].output_uri.rpartition("/")[0].rpartition("/")[0]


def _name(plan: SweepSpec, profile: Profile, workers: int) -> str:
    """The same for the same sweep: of two attempts to start it one is too many, and harmless."""
    digest = hashlib.sha256(encode(plan) + msgspec.json.encode([profile, workers])).hexdigest()
    label = label_of(_runs_of(plan).rpartition("/")[2], LONGEST_LABEL, "sweep")
    return f"{label}-{digest[:HASH_LENGTH]}"
