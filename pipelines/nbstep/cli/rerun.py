"""``nbstep rerun``: a new run of what an earlier run ran."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbstep.cli.common import AS_JSON, RUN, found, reached
from nbstep.cli.interrupts import CANCEL
from nbstep.cli.parameters import parameter_sources
from nbstep.cli.placing import FOLLOW, PLACE, overrides
from nbstep.profiles.storage import absolute
from nbstep_runner.cli.parameter_options import parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section
from nbstep_runner.errors import UsageError

if TYPE_CHECKING:
    from nbstep.runs.run import Run
    from nbstep_runner.contract import RunResult


@click.command("rerun", cls=SectionedCommand)
@RUN
@section("Parameters, over those of the run", *parameter_options())
@section("Place, in place of where the run was", *PLACE)
@click.option("--resume", is_flag=True, help="Go on from the run's newest state.")
@click.option("--notebook", metavar="NOTEBOOK", help="A mended notebook, in place of the run's.")
@click.option("--run-id", help="Names the new run; made of the earlier one's and the time otherwise.")
@FOLLOW
@CANCEL
@AS_JSON
def command(run: str, **options: Any) -> int:
    """Start a new run with the notebook, parameters, files and place of RUN, and print its string.

    What is named here goes before what RUN had. A run that was not submitted, such as one of `nbstep run` or of a
    sweep, runs here, over its own output, and is watched.
    """
    from nbstep.api import rerun
    from nbstep.backends.recorded import RecordedBackend
    from nbstep.cli.submit import started
    from nbstep.profiles import load_profile

    earlier = found(run, options["profile"], options["runs"], reached(options))
    if isinstance(earlier.backend, RecordedBackend):
        return _here(earlier, options)
    again = rerun(
        earlier,
        sources=parameter_sources(None, options),
        profile=load_profile(options["profile"], {}) if options["profile"] else None,
        run_id=options["run_id"],
        notebook=options["notebook"],
        resume=options["resume"],
        options={name: value for name, value in overrides(options).items() if name != "runs"},
    )
    return started(again, options)


def _here(earlier: Run, options: dict[str, Any]) -> int:
    """Run it here, as ``nbstep run`` would be told to."""
    from nbstep.backends.arguments import storage_options
    from nbstep.cli.run import command as run_command
    from nbstep_runner.contract import STANDARD_STREAM, StorageOptions
    from nbstep_runner.parameters import dump_yaml

    _check_place(options)
    record = earlier.record()
    environment = record.environment if record else None
    if record is None or record.input_uri == STANDARD_STREAM or (environment and environment.pod):
        raise UsageError(
            f"the run {earlier.id} cannot be made again from its record", hint="Run its notebook with nbstep run."
        )
    read, folder = _read_from(record, earlier.output_uri)
    notebook = absolute(options["notebook"]) if options["notebook"] else read
    if notebook is None:
        raise UsageError(
            f"the record does not say in which folder {record.input_uri} lies", hint="Name it with --notebook."
        )
    # From the folder of the first run: cells read other files by paths that count from it.
    arguments = [notebook, str(record.output_uri) if folder else earlier.output_uri]
    arguments += ["--resume" if options["resume"] else "--force", "-y", dump_yaml(record.parameters).decode()]
    arguments += ["--html"] if record.html_uri else []
    files = ("known_hosts", "identity_file")
    reach: dict[str, Any] = {
        name: absolute(value) if name in files else value for name, value in reached(options).items()
    }
    arguments += storage_options(StorageOptions(**reach))
    arguments += ["--json"] if options["as_json"] else []
    arguments += [f"--parameters_file={absolute(each)}" for each in options["parameters_file"]]
    arguments += [f"--parameters_yaml={each}" for each in options["parameters_yaml"]]
    arguments += [f"--parameters={name}={value}" for name, value in options["parameters"]]
    arguments += [f"--parameters_raw={name}={value}" for name, value in options["parameters_raw"]]
    with chdir(folder or "."):
        code: int = run_command.main(arguments, prog_name="nbstep rerun", standalone_mode=False)
    return code


def _check_place(options: dict[str, Any]) -> None:
    """Whether nothing is named that such a run does not have.

    Raises:
        UsageError: A place, a profile's field or an id is.
    """
    named = [name for name, value in overrides(options).items() if value and name not in ("runs", "storage")]
    named += ["run_id"] if options["run_id"] else []
    if named:
        raise UsageError(
            f"a run that was not submitted runs here again, and takes no {named[0].replace('_', ' ')}",
            hint="Leave it out, or start a run of its notebook elsewhere with nbstep submit.",
        )


def _read_from(record: RunResult, output_uri: str) -> tuple[str | None, str | None]:
    """The notebook that a run read, and the folder in which it was run; ``None`` where they are not known.

    Paths that were typed count from that folder, and so does the output's, whose place is known.
    """
    written = os.path.normpath(record.output_uri or "")
    there = os.path.normpath(absolute(output_uri))
    typed = "://" not in written + output_uri and not Path(written).is_absolute() and not written.startswith("..")
    folder = (there.removesuffix(f"/{written}") or "/") if typed and there.endswith(f"/{written}") else None
    if "://" in record.input_uri or Path(record.input_uri).is_absolute():
        return record.input_uri, folder
    return (None if folder is None else record.input_uri), folder
