"""What the commands about submitted runs share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from nbstep_runner.errors import ExitCode

if TYPE_CHECKING:
    from nbstep.endpoints.endpoint import Endpoint, EndpointStatus
    from nbstep.profiles import Profile
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep
    from nbstep.views.status import RunStatus
    from nbstep_runner.contract import RunResult

Command = TypeVar("Command", bound=Callable[..., Any])
Storage = dict[str, Any]
"""Storage options by name, as the command line gave them."""

RUN: Final = click.argument("run", metavar="RUN", shell_complete=lambda _, __, typed: _known_runs(typed))
"""A run's string, its id or the beginning of it, ``latest``, or its executed notebook."""

AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

PROFILE: Final = click.option(
    "--profile", help="A profile of the profiles file.", shell_complete=lambda _, __, typed: _names(typed)
)
REACH: Final = (
    click.option("--endpoint-url", metavar="URL", help="Another endpoint for s3://."),
    click.option("--allow-private-addresses", is_flag=True, help="Let http(s) reach loopback and private addresses."),
    click.option("--known-hosts", type=click.Path(), help="Host keys for sftp://."),
    click.option("--identity-file", type=click.Path(), help="The private key for sftp://."),
    click.option("--project", help="The project that pays, for gs:// buckets whose requester pays."),
)
"""The options that say how a place is reached, named as the runner names them; a profile's hold where it names none."""
_STORAGE: Final = ("endpoint_url", "allow_private_addresses", "known_hosts", "identity_file", "project")

WHERE: Final = (PROFILE, click.option("--runs", metavar="URI", help="The folder of all runs; the profile's otherwise."))
"""The options that say where runs are kept."""


def where(command: Command) -> Command:
    """Give a command :data:`WHERE` and :data:`REACH`; what they say of storage comes as one argument, ``storage``."""
    gathered: Any = reaching(command)
    for option in reversed(WHERE):
        gathered = option(gathered)
    return cast("Command", gathered)


def reaching(command: Command) -> Command:
    """Give a command :data:`REACH`, and the argument ``storage``: the storage options that were given."""

    @wraps(command)
    def gather(**options: Any) -> Any:
        storage = reached(options)
        return command(storage=storage, **{name: value for name, value in options.items() if name not in _STORAGE})

    gathered: Any = gather
    for option in reversed(REACH):
        gathered = option(gathered)
    return cast("Command", gathered)


def found_started(run: str, profile: str | None, runs: str | None, storage: Storage) -> Run | SubmittedSweep:
    """The run or the sweep that the arguments name.

    Raises:
        RunNotFoundError: There is neither.
    """
    from nbstep.sweeps.submitted import sweep_of

    submitted = found(run, profile, runs, storage)
    return sweep_of(submitted) or submitted


def reached(options: dict[str, Any]) -> Storage:
    """The storage options among a command's options that were given."""
    return {name: options[name] for name in _STORAGE if options.get(name)}


def found(run: str, profile: str | None, runs: str | None, storage: Storage) -> Run:
    """The run that the arguments name.

    Raises:
        RunNotFoundError: There is none.
    """
    from nbstep.submission.find import find_run

    return find_run(run, chosen(profile, runs, storage))


def found_any(name: str, profile: str | None, runs: str | None, storage: Storage) -> Run | SubmittedSweep | Endpoint:
    """The run, the sweep or the endpoint that the arguments name.

    Raises:
        RunNotFoundError: There is none of them.
    """
    from nbstep.api import find

    return find(name, profile=chosen(profile, runs, storage))


def chosen(profile: str | None, runs: str | None, storage: Storage) -> Profile:
    """The profile, with what the command line names over it."""
    from nbstep.profiles import load_profile

    return load_profile(profile, {"runs": runs, "storage": storage or None})


def described(run: Run, status: RunStatus) -> dict[str, Any]:
    """A run's state as JSON has it."""
    found = {"run": str(run), "run_id": run.id, **_standing(status)}
    return found | {"output_uri": run.output_uri, "record": status.record}


def described_sweep(sweep: SubmittedSweep, status: RunStatus) -> dict[str, Any]:
    """A sweep's state as JSON has it; after the look that the status is of."""
    found = {"sweep": str(sweep), "sweep_id": sweep.id, **_standing(status)}
    return found | {"output_uri": sweep.output, "runs": sweep.outcome().rows()}


def described_endpoint(endpoint: Endpoint, status: EndpointStatus) -> dict[str, Any]:
    """An endpoint's state as JSON has it."""
    found = {"endpoint": endpoint.name, "handle": endpoint.handle, **_standing(status)}
    return found | {"url": status.url, "record": status.record}


def _standing(status: RunStatus | EndpointStatus) -> dict[str, Any]:
    return {"state": str(status.state), "words": status.words, "problems": list(status.problems)}


def concluded(record: RunResult) -> int:
    """The exit code of a run that has ended; a failure is told in two lines."""
    if record.exit_code and record.error:
        click.echo(f"nbstep: {record.error.message}\n{record.error.hint}", err=True)
    return int(ExitCode.INTERNAL) if record.exit_code is None else record.exit_code


def _names(typed: str) -> list[str]:
    from nbstep.profiles import profile_names

    return [name for name in profile_names() if name.startswith(typed)]


def _known_runs(typed: str) -> list[str]:
    """Ids to complete from: only of a folder on this machine, so that no key press waits for a network."""
    from nbstep.profiles.storage import DEFAULT_RUNS

    try:
        return sorted((name for name in os.listdir(DEFAULT_RUNS) if name.startswith(typed)), reverse=True)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
