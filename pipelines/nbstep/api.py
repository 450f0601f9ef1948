"""The launcher as functions: run a notebook here, submit a run, run one again, find one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nbstep.backends.arguments import storage_options
from nbstep.backends.local.process import default_output
from nbstep.backends.protocol import Again, Backend, Located, Phase, Plan
from nbstep.backends.recorded import RecordedBackend
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import keeper_of, named_runs
from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, NotStartedError, RunNotFoundError, error_of
from nbstep.images.requirements import RequirementLines
from nbstep.profiles import Profile, as_text, chosen_profile, merged
from nbstep.profiles.storage import absolute
from nbstep.runs.run import Run
from nbstep.submission.again import new_id, remember, request_again, values_over
from nbstep.submission.files import Files
from nbstep.submission.find import find_run, located_at
from nbstep.submission.request import Prepared, Request, prepare, unknown_policy
from nbstep.submission.upload import upload, withdraw
from nbstep_runner.contract import ParameterSource
from nbstep_runner.errors import BadInputError, InternalError, NbstepError, OutputConflictError, UsageError


def run(  # noqa: PLR0913 - papermill's arguments, by their names
    notebook: str | Path,
    output: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    kernel_name: str | None = None,
    language: str | None = None,
    cwd: str | Path | None = None,
    prepare_only: bool = False,
    report_mode: bool = False,
    html: bool = False,
    allow_errors: bool = False,
    force: bool | None = None,
    state: bool = False,
    resume: bool = False,
    unknown_parameters: str = "warn",
    start_timeout: float = 60,
    execution_timeout: float | None = None,
    run_timeout: float | None = None,
    autosave_cell_every: float | None = None,
    stdout_file: str | Path | None = None,
    stderr_file: str | Path | None = None,
    progress_bar: bool = True,
    log_output: bool = False,
    storage: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Run:
    """Run a notebook here and wait for its end: ``papermill.execute_notebook``, in a process of its own.

    The executed notebook is written to ``output`` in one step, with its record and log beside it, also when a cell
    fails.

    Args:
        notebook: A path or a URI.
        output: Where the executed notebook goes, a path or a URI; ``x.out.ipynb`` in the current folder for ``x.ipynb``
            if left out.
        parameters: Values by name; ``{"secret": "env:NAME"}`` is a reference to a secret.
        kernel_name: The kernel to use, whatever the notebook says.
        language: The notebook's language, whatever the notebook says.
        cwd: The kernel's working directory.
        prepare_only: Inject the parameters, run nothing; the run returned then has no record.
        report_mode: Hide the input of cells.
        html: Write the executed notebook as HTML too.
        allow_errors: Go on after a cell that raised.
        force: Run even if this very work is already done, and begin anew; without it, finished work answers by its
            record. What is usual where neither ``state`` nor ``resume`` is asked for.
        state: Keep the folder ``NBSTEP_STATE_DIR`` for the next attempt, which goes on from it.
        resume: Run a failed run again from its newest state, also with a mended notebook.
        unknown_parameters: What to do with a parameter that the notebook does not declare: ``error``, ``warn`` or
            ``ignore``.
        start_timeout: Seconds for the kernel to start.
        execution_timeout: Seconds for each cell.
        run_timeout: Seconds for all cells together.
        autosave_cell_every: Seconds between partial notebooks; 0: none.
        stdout_file: A file for what the notebook prints.
        stderr_file: A file for what it prints to stderr.
        progress_bar: Show how far the run is: a card in a notebook, a view on a terminal, nothing elsewhere.
        log_output: Print the log on standard error instead.
        storage: How stores are reached, such as ``{"endpoint_url": "https://…"}``.
        check: Raise the run's own error if it did not succeed.

    Returns:
        The run: ``.notebook()``, ``.results``, ``.record()``.

    Raises:
        CellFailedError: A cell raised; its traceback is a note of the error.
        NbstepError: How else it failed.
    """
    target = str(output or default_output(str(notebook)))
    from nbstep.runs.here import run_here

    reached = chosen_profile(None, {"storage": dict(storage or {})}).storage
    options = {
        "--kernel": kernel_name,
        "--language": language,
        "--cwd": cwd,
        "--unknown-parameters": unknown_parameters,
        "--start-timeout": start_timeout,
        "--execution-timeout": execution_timeout,
        "--run-timeout": run_timeout,
        "--autosave-cell-every": autosave_cell_every,
        "--stdout-file": stdout_file,
        "--stderr-file": stderr_file,
        "--prepare-only": prepare_only,
        "--report-mode": report_mode,
        "--html": html,
        "--allow-errors": allow_errors,
        "--force": not (state or resume) if force is None else force,
        "--keep-state": state,
        "--resume": resume,
    }
    arguments = [str(notebook), target, *storage_options(reached), *_spelled(options)]
    record = run_here(arguments, target, parameters or {}, progress=progress_bar, print_log=log_output)
    if check and record is not None and record.error is not None:
        raise error_of(record.error)
    run_id = record.run_id if record is not None else target
    located = Located(run_id=run_id, spec_uri="", output_uri=absolute(target), storage=reached)
    return Run(absolute(target), located, RecordedBackend())


def _spelled(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line has them: ``True`` is the option's name alone, ``False`` and ``None`` are left out."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return [name if value is True else f"{name}={value}" for name, value in given.items()]


def submit(  # noqa: PLR0913 - the one call of the launcher; everything but the notebook has a default and a name
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    runs: str | Path | None = None,
    on: str | None = None,
    profile: str | Profile | None = None,
    image: str | None = None,
    resources: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    files: Files = (),
    requirements: RequirementLines | None = None,
    labels: Mapping[str, str] | None = None,
    deadlines: Mapping[str, float] | None = None,
    retries: int | None = None,
    collect: Sequence[str] | None = None,
    run_id: str | None = None,
    unknown_parameters: str = "error",
    html: bool = True,
    options: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Run:
    """Start a run of a notebook and return at once.

    The parameters are checked against the notebook's own cell before anything is written or started. The same
    ``run_id`` submitted twice is one run.

    Args:
        notebook: A path or a URI.
        params: Values by name; ``{"secret": "env:NAME"}`` is a reference to a secret.
        runs: The folder of all runs, a URI; everything about this one lies in a folder of its own below it.
        on: ``local``, ``docker``, ``kubernetes``, or a backend that another package adds.
        profile: Of the profiles file; what the call names goes before what the profile says.
        image: For containers and clusters.
        resources: ``cpu``, ``memory``, ``gpu``, ``disk``, ``shared_memory``.
        env: Environment variables: values, or ``{"secret": NAME, "key": KEY}``.
        files: Files and folders that the notebook finds in its working directory.
        requirements: A requirements file, or a list of its lines: an image with them is built, at most once; a local
            run is checked to have them.
        labels: To find the run by.
        deadlines: Seconds: ``run``, ``cell``, ``stall``, ``start``, ``shutdown``, ``grace``.
        retries: How often to start again after a fault that may pass.
        collect: Which files that the notebook writes in its working directory are stored: ``["*.csv", "model/"]``.
        run_id: Names the run; made of the notebook's name and the time if left out.
        unknown_parameters: ``error``, ``warn`` or ``ignore``.
        html: Write the executed notebook as HTML too.
        options: Further fields of the profile, such as ``{"kubernetes": {"queue": "team-a"}}``.
        spec: Further fields of the ``RunSpec``, such as ``kernel="ir"`` or ``allow_errors=True``.

    Raises:
        BadInputError: The notebook or the parameters are not valid.
        NbstepError: What else keeps it from starting.
    """
    kept = [collect] if isinstance(collect, str) else None if collect is None else list(collect)
    place = {"runs": runs, "on": on, "image": image, "retries": retries, "collect": kept}
    place["state"] = spec.pop("state", None)  # the profile has it too
    groups = {"resources": resources, "env": env, "labels": labels, "deadlines": deadlines}
    request = Request(
        notebook=str(notebook),
        profile=chosen_profile(profile, merged(options or {}, place | groups)),
        sources=(ParameterSource.values(dict(params)),) if params else (),
        files=files,
        requirements=requirements,
        run_id=run_id,
        unknown_parameters=unknown_policy(unknown_parameters),
        spec={"html": html, **as_text(spec)},
    )
    return start(prepare(request))


def rerun(  # noqa: PLR0913 - as submit: everything but the run has a default and a name
    run: Run,
    params: Mapping[str, Any] | None = None,
    *,
    sources: Sequence[ParameterSource] = (),
    profile: str | Profile | None = None,
    run_id: str | None = None,
    options: Mapping[str, Any] | None = None,
    notebook: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Start a run that was submitted once more, with the notebook, parameters, files and place that it had.

    Args:
        run: The earlier run, as :func:`find` finds it.
        params: Values over those of the earlier run.
        sources: Further sources of parameters, as the command line has them.
        profile: Where it takes place now, in place of where it did.
        run_id: Names the new run; made of the earlier one's and the time if left out.
        options: Fields of the profile over those of the earlier run, such as ``{"resources": {"memory": "8Gi"}}``.
        notebook: In place of the one that it had: a mended one, a path or a URI.
        resume: Go on from the newest state of the earlier run, which kept one.

    Raises:
        BadInputError: The parameters do not fit the notebook.
        InputNotFoundError: What the earlier run was made of is no longer there.
        UsageError: A value of its environment, which is not kept, has to be given again; or it is a service's run, and
            another place or notebook or a resumption is asked for.
    """
    given = (*sources, *((ParameterSource.values(dict(params)),) if params else ()))
    chosen = None if profile is None else chosen_profile(profile, {})
    keeper: Any = keeper_of(run.handle)
    if keeper is not None:
        if notebook is not None or resume:
            raise UsageError(
                "a service runs a run again as it was: with its own notebook, and from the beginning",
                hint="Submit the notebook as a new run.",
            )
        values, name = values_over(run, given), new_id(run, run_id)
        handle = keeper.rerun(run.handle, Again(parameters=values, options=options or {}, run_id=name, profile=chosen))
        return Run(handle, keeper.locate(handle), keeper)
    mended = None if notebook is None else str(notebook)
    with request_again(
        run, given, options or {}, profile=chosen, run_id=run_id, notebook=mended, resume=resume
    ) as request:
        return start(prepare(request))


async def submit_async(notebook: str | Path, params: Mapping[str, Any] | None = None, **options: Any) -> Run:
    """As :func:`submit`, without blocking the event loop."""
    import asyncio  # whoever awaits this has it; the others need not wait for it

    return await asyncio.to_thread(partial(submit, notebook, params, **options))


def plan(prepared: Prepared) -> Plan:
    """What would be sent to the backend."""
    return backend_named(prepared.submission.profile.on).plan(prepared.submission)


def start(prepared: Prepared) -> Run:
    """Build a prepared run's image if there is none, upload its inputs unless they are sent, and start it.

    Of one that its place never took nothing stays in storage, where it would be listed as waiting for ever.
    """
    submission, places = prepared.submission, prepared.places
    backend = backend_named(submission.profile.on)
    request = backend.plan(submission)
    if prepared.image is not None:
        prepared.image.provide()
    is_new = prepared.stored and upload(prepared.uploads, prepared.storage)
    try:
        backend.submit(request)
    except OutputConflictError:  # what has the name there is another run
        if is_new:
            withdraw(prepared.uploads, prepared.storage)
        raise
    except (BadInputError, ClusterDeniedError, InternalError, NotStartedError, RunNotFoundError, UsageError):
        if is_new and not _is_known(backend, request.handle):
            withdraw(prepared.uploads, prepared.storage)
        raise
    if prepared.stored:
        remember(places.submission, request.handle, submission, prepared.storage)
    return Run(request.handle, located_at(places, submission.spec.run_id, prepared.storage), backend)


def _is_known(backend: Backend, handle: str) -> bool:
    """Whether the place has a run that it refused: a first try, whose answer was lost, may have started it."""
    try:
        return backend.statuses([handle])[handle].phase is not Phase.GONE
    except ClusterUnavailableError:  # it may have one: what that needs stays
        return True
    except NbstepError:  # the refusal of whoever may not ask is all that there is
        return False


def find(name: str | Path, *, runs: str | Path | None = None, profile: str | Profile | None = None) -> Run | Any:
    """Find a run, a sweep or an endpoint again, from any process.

    Args:
        name: The run's string, such as ``k8s://context/namespace/name``; its id, or a beginning of it that no other
            run's has; ``latest``; or its executed notebook, as a path or URI that ends with ``.ipynb``. A sweep's
            string or id. The endpoint's name.
        runs: The folder of all runs; the profile's otherwise. An id and a name are looked for there; a sweep's in the
            folder of its own runs.
        profile: Whose ``runs`` and storage options to use.

    Returns:
        A :class:`Run`, or a :class:`SubmittedSweep` or an :class:`Endpoint` where the name is one's. For a type checker
        these two are ``Any``: who looks for a run need not ask which of them came.

    Raises:
        RunNotFoundError: Neither its place nor the folder knows it, or the beginning of an id fits several.
    """
    from nbstep.endpoints.endpoint import find_endpoint  # who submits a run needs neither
    from nbstep.sweeps.submitted import sweep_of

    chosen = chosen_profile(profile, {"runs": runs})
    keeper_of(named_runs(chosen) or "", chosen)
    with suppress(RunNotFoundError):
        return find_endpoint(str(name), chosen)
    run = find_run(str(name), chosen)
    return sweep_of(run) or run
