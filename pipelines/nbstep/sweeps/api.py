"""``nbstep.sweep``: parameter sets of one notebook, run in parallel on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.sweeps.plan import PreparedSweep, SweepRequest, prepare
from nbstep.sweeps.sets import axis, combine, row
from nbstep.sweeps.worker import SweepWorker
from nbstep_runner.contract import ParameterSource, RunState
from nbstep_runner.errors import UsageError

Listener = Callable[[int, SweepRun], None]
"""Called with a run's place in the order when it begins (its ``result`` is ``None``) and when it has ended."""


def sweep(  # noqa: PLR0913 - as submit: everything but the notebook and the output has a default and a name
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    output: str | Path,
    grid: Mapping[str, Iterable[Any]] | None = None,
    matrix: Iterable[Mapping[str, Any]] = (),
    jobs: int | None = None,
    cold: bool = False,
    preload: bool = True,
    check: bool = True,
    unknown_parameters: str = "error",
    **spec: Any,
) -> Sweep:
    """Run a notebook once for each parameter set, several at once, and return when all have ended.

    Every set is checked before anything runs. Each run is as if it were alone: a process and a kernel of its own, and
    below ``output`` a folder with its executed notebook, log and record. A second call makes only the runs that are
    missing: those that have ended for good answer by their records.

    Args:
        notebook: A path or a URI.
        params: Values that all runs share; a set's own win.
        output: The folder of all runs, a path or a URI.
        grid: Values by name; every combination is a set.
        matrix: Sets, each a mapping of values by name. With a grid too, each is combined with each of the grid's.
        jobs: Runs at once; as many as there are CPUs for this process if left out.
        cold: Launch every kernel instead of forking it from one that has imported what the notebook imports.
        preload: Import before the fork what the notebook imports.
        check: Raise the first error, in the order of the sets, once all runs have ended.
        unknown_parameters: ``error``, ``warn`` or ``ignore``.
        spec: Further fields of each ``RunSpec``, such as ``kernel="ir"``, ``html=True`` or ``allow_errors=True``.

    Raises:
        BadInputError: The notebook is none, or a parameter set does not fit it.
        UsageError: An argument says nothing, or is of another kind.
        NbstepError: With ``check``, how the first run that did not succeed failed.
    """
    from nbstep.submission.request import SPEC_FIELDS, check_fields, unknown_policy  # the command does without

    check_fields(spec, (*SPEC_FIELDS, "deadlines"))
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} runs at once are none", hint="Leave jobs out for as many as there are CPUs.")
    axes = [axis(name, values) for name, values in (grid or {}).items()]
    request = SweepRequest(
        notebook=str(notebook),
        sets=combine(axes, [row(each) for each in matrix]),
        base=(ParameterSource.values(dict(params)),) if params else (),
        output=str(output),
        jobs=jobs,
        cold=cold,
        preload=preload,
        unknown_parameters=unknown_policy(unknown_parameters),
        spec=spec,
    )
    with SweepWorker(kernel=spec.get("kernel"), folder=spec.get("working_directory"), cold=cold) as worker:
        prepared = prepare(request)
        done = carry_out(worker, prepared, _bar(len(prepared.names)))
    if check:
        done.check()
    return done


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
        for name, values, spec in zip(prepared.names, prepared.varied, plan.specs, strict=True)
    ]
    for event in worker.carry_out(plan):
        if event.result is not None:
            runs[event.index] = replace(runs[event.index], result=event.result)
        if listen:
            listen(event.index, runs[event.index])
    return Sweep(runs=tuple(runs), stopped_by=worker.stopped_by)
