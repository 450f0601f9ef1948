"""``nbstep.sweep``: parameter sets of one notebook, run in parallel here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbstep.sweeps.outcome import Listener, Sweep, SweepRun
from nbstep.sweeps.plan import PreparedSweep, SweepRequest, prepare
from nbstep.sweeps.sets import axis, combine, row
from nbstep.sweeps.worker import SweepWorker
from nbstep_runner.contract import ParameterSource, RunState
from nbstep_runner.errors import UsageError

if TYPE_CHECKING:
    from nbstep.images.requirements import RequirementLines
    from nbstep.profiles import Profile
    from nbstep.submission.files import Files


def sweep(  # noqa: PLR0913 - as submit: everything but the notebook and the output has a default and a name
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    output: str | Path,
    grid: Mapping[str, Iterable[Any]] | None = None,
    matrix: Iterable[Mapping[str, Any]] = (),
    jobs: int | None = None,
    per_pod: int | None = None,
    cold: bool = False,
    preload: bool = True,
    check: bool = True,
    unknown_parameters: str = "error",
    on: str | None = None,
    profile: str | Profile | None = None,
    image: str | None = None,
    resources: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    files: Files = (),
    requirements: RequirementLines | None = None,
    labels: Mapping[str, str] | None = None,
    retries: int | None = None,
    options: Mapping[str, Any] | None = None,
    wait: bool = True,
    **spec: Any,
) -> Sweep | Any:
    """Run a notebook once for each parameter set, several at once, and return when all have ended.

    Every set is checked before anything runs. Each run is as if it were alone: a process and a kernel of its own, and
    below ``output`` a folder with its executed notebook, log and record. A second call makes only the runs that are
    missing: those that have ended for good answer by their records.

    Args:
        notebook: A path or a URI.
        params: Values that all runs share; a set's own win.
        output: The folder of all runs, a path or a URI; through a service a path below its folder of runs.
        grid: Values by name; every combination is a set.
        matrix: Sets, each a mapping of values by name. With a grid too, each is combined with each of the grid's.
        jobs: Runs at once; as many as there are CPUs for this process if left out. Of a cluster: pods; 8 if left out.
        per_pod: Runs at once in each pod; 1 if left out.
        cold: Launch every kernel instead of forking it from one that has imported what the notebook imports.
        preload: Import before the fork what the notebook imports.
        check: Raise the first error, in the order of the sets, once all runs have ended.
        unknown_parameters: ``error``, ``warn`` or ``ignore``.
        on: ``docker``, ``kubernetes`` or ``server``; this machine if neither this nor ``profile`` says otherwise.
        profile: As of :func:`nbstep.submit`, and so are the arguments up to ``options``; only for other places.
        image: See there.
        resources: See there; of each pod.
        env: See there.
        files: See there.
        requirements: See there.
        labels: See there.
        retries: How often a pod is started again that failed by itself, and a run made again whose process was killed.
        options: Further fields of the profile.
        wait: Elsewhere: return when all runs have ended; else at once, with a :class:`SubmittedSweep`, which is ``Any``
            for a type checker.
        spec: Further fields of each ``RunSpec``, such as ``kernel="ir"``, ``html=True`` or ``allow_errors=True``.

    Raises:
        BadInputError: The notebook is none, or a parameter set does not fit it.
        UsageError: An argument says nothing, or is of another kind.
        NbstepError: With ``check``, how the first run that did not succeed failed.
    """
    from nbstep.backends.registry import runs_here
    from nbstep.profiles import as_text, chosen_profile, merged
    from nbstep.submission.request import SPEC_FIELDS, check_fields, unknown_policy  # the command does without

    spec = as_text(spec)
    check_fields(spec, (*SPEC_FIELDS, "deadlines"))
    for name, count in (("jobs", jobs), ("per_pod", per_pod)):
        if count is not None and count < 1:
            raise UsageError(f"{count} runs at once are none", hint=f"Leave {name} out for the usual number.")
    request = SweepRequest(
        notebook=str(notebook),
        sets=combine([axis(name, values) for name, values in (grid or {}).items()], [row(each) for each in matrix]),
        base=(ParameterSource.values(dict(params)),) if params else (),
        output=str(output),
        jobs=jobs,
        cold=cold,
        preload=preload,
        unknown_parameters=unknown_policy(unknown_parameters),
        spec=spec,
    )
    place_fields = {"on": on, "image": image, "retries": retries}
    groups = {"resources": resources, "env": env, "labels": labels}
    overrides = merged(options or {}, place_fields | groups)
    where = chosen_profile(profile, overrides) if on or profile else None
    if where is None or runs_here(where.on):
        refuse_elsewhere(overrides, per_pod=per_pod, files=files, requirements=requirements, wait=wait)
        done = _here(request if where is None else replace(request, storage=where.storage))
        if check:
            done.check()
        return done
    from nbstep.sweeps.elsewhere import place
    from nbstep.sweeps.start import start_sweep

    request = replace(request, storage=where.storage)
    started = start_sweep(place(request, where, per_worker=per_pod, files=files, requirements=requirements))
    return started.wait(check=check, listen=_bar(len(request.sets))) if wait else started


def _here(request: SweepRequest) -> Sweep:
    spec = request.spec
    with SweepWorker(kernel=spec.get("kernel"), folder=spec.get("working_directory"), cold=request.cold) as worker:
        prepared = prepare(request)
        return carry_out(worker, prepared, _bar(len(prepared.names)))


def refuse_elsewhere(given: Mapping[str, Any], *, wait: bool = True, **more: Any) -> None:
    """Refuse what only a sweep elsewhere has.

    Args:
        given: Fields of a profile; those that say nothing are empty.
        wait: Whether the caller waits for the end.
        more: Further arguments by their names.

    Raises:
        UsageError: One of them is given.
    """
    for name, value in {**given, **more}.items():
        if value and name not in ("on", "storage", "deadlines"):
            raise UsageError(
                f"{name} says nothing for a sweep on this machine", hint="Name a place: on='kubernetes' or 'docker'."
            )
    if not wait:
        raise UsageError("a sweep on this machine is waited for", hint="Leave wait out, or name a place with on=.")


def _bar(count: int) -> Listener | None:
    """In a notebook, what shows how far the sweep is."""
    from nbstep.views.jupyter import Bar, in_jupyter

    if not in_jupyter():
        return None
    bar = Bar(count)

    def hear(_: int, run: SweepRun) -> None:
        if run.result is not None:
            bar.ended(failed=run.state is not RunState.SUCCEEDED)

    return hear


def carry_out(worker: SweepWorker, prepared: PreparedSweep, listen: Listener | None = None) -> Sweep:
    """Have a worker make the runs of a prepared sweep."""
    plan = prepared.plan
    runs = [
        SweepRun(name=name, parameters=values, output_uri=spec.output_uri)
        for name, values, spec in zip(prepared.names, prepared.plan.sets, plan.specs, strict=True)
    ]
    for event in worker.carry_out(plan):
        if event.result is not None:
            runs[event.index] = replace(runs[event.index], result=event.result)
        if listen:
            listen(event.index, runs[event.index])
    return Sweep(runs=tuple(runs), stopped_by=worker.stopped_by)
