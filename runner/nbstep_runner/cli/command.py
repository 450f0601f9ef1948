"""The command itself: its arguments, and the order in which a run's parts come to life."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nbstep_runner.cli import options as options_of
from nbstep_runner.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from nbstep_runner.contract import RunSpec
    from nbstep_runner.kernel.watchdog import Watchdog

STANDARD_STREAM = "-"
"""As in the contract, which is not imported before the kernel is launched."""


class Version:
    """nbstep's version, read only if it is asked for."""

    def __str__(self) -> str:
        from importlib import metadata

        return metadata.version("nbstep")


@click.command(
    cls=SectionedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "NBSTEP", "max_content_width": 100},
)
@click.argument("input_uri", metavar="INPUT", required=False)
@click.argument("output_uri", metavar="[OUTPUT]", required=False)
@click.argument("params_uri", metavar="[PARAMS]", required=False)
@click.option(
    "--spec",
    "spec_uri",
    metavar="URI",
    envvar="NBSTEP_SPEC",
    help="Run what this JSON file of a run's spec says, instead of INPUT OUTPUT.",
)
@click.option(
    "--sweep",
    "plan_uri",
    metavar="URI",
    envvar="NBSTEP_SWEEP",
    help="Take part in the sweep that this JSON file of its runs describes.",
)
@click.option(
    "--share", metavar="I/N", default="0/1", show_default=True, help="The part of the sweep to begin with, from 0."
)
@click.option("--help-notebook", is_flag=True, help="Show the notebook's parameters and run nothing.")
@options_of.PARAMETERS
@options_of.OUTPUT
@options_of.KERNEL
@options_of.LIMITS
@options_of.IDENTITY
@options_of.STATE
@options_of.STORAGE
@options_of.IGNORED
@click.version_option(Version(), prog_name="nbstep-runner")  # type: ignore[arg-type]  # its text is enough
def command(
    input_uri: str | None,
    output_uri: str | None,
    params_uri: str | None,
    spec_uri: str | None,
    plan_uri: str | None,
    help_notebook: bool,
    **options: Any,
) -> int:
    """Run the notebook INPUT with the parameters in PARAMS and write the executed notebook to OUTPUT.

    Each is a path or a URI (gs://, s3://, sftp://, https://, …); "-" is standard input or output.
    INPUT may be a notebook that is kept as text (.py, .md, …): jupytext reads it.

    The exit code says how the run ended: 0 succeeded, 2 usage, 10 a cell raised, 11 timed out, 12 the kernel died,
    13 out of memory, 65 bad input, 66 input not found, 70 internal, 73 output conflict, 75 storage unavailable,
    77 storage denied, 78 no such kernel, 130 interrupted, 143 terminated.
    """
    if (spec_uri or plan_uri) and (input_uri or (spec_uri and plan_uri)):
        raise click.UsageError("--spec or --sweep takes the place of INPUT, OUTPUT and PARAMS.")
    if plan_uri:
        return _take_part(plan_uri, options)
    if spec_uri:
        return _run(lambda: _read_spec(spec_uri, options), options)
    source, output = _standard_streams(input_uri, output_uri, help_notebook=help_notebook)
    if help_notebook:
        from nbstep_runner.cli.help_notebook import show_parameters
        from nbstep_runner.cli.spec import storage_of

        return show_parameters(source, storage_of(options), options["kernel"], options["language"])
    return _run(lambda: _make_spec(source, output, params_uri, options), options)


def _take_part(plan_uri: str, options: dict[str, Any]) -> int:
    from nbstep_runner.cli.spec import storage_of
    from nbstep_runner.sweep.part import take_part
    from nbstep_runner.sweep.share import Portion

    early = [f"--{name}={options[name]}" for name in ("kernel", "cwd") if options[name]]
    return take_part(plan_uri, Portion.parse(options["share"]), storage_of(options), early)


def _make_spec(source: str, output: str, params_uri: str | None, options: dict[str, Any]) -> RunSpec:
    from nbstep_runner.cli.spec import spec_of

    return spec_of(source, output, params_uri, options)


def _read_spec(uri: str, options: dict[str, Any]) -> RunSpec:
    from nbstep_runner.cli.spec import read_spec

    return read_spec(uri, options)


def _standard_streams(input_uri: str | None, output_uri: str | None, *, help_notebook: bool) -> tuple[str, str]:
    """The input and the output, where a pipe stands for what is not named, as with papermill."""
    for name, given in (("INPUT", input_uri), ("OUTPUT", output_uri)):
        if given == "":  # an empty variable of a script, which must not send a notebook to the log
            raise click.UsageError(f"Argument '{name}' is empty.")
    piped_in = stat.S_ISFIFO(os.fstat(0).st_mode)
    if piped_in and input_uri and not output_uri and not help_notebook:
        return STANDARD_STREAM, input_uri
    if not input_uri and not piped_in:
        raise click.UsageError("Missing argument 'INPUT'.")
    if not output_uri and not help_notebook and sys.stdout.isatty():
        raise click.UsageError("Missing argument 'OUTPUT'.")
    return input_uri or STANDARD_STREAM, output_uri or STANDARD_STREAM


def _run(spec: Callable[[], RunSpec], options: dict[str, Any]) -> int:
    """Bring a run's parts to life, the kernel first: it takes longest, and all else is imported meanwhile."""
    from nbstep_runner.cli.guard import make_watchdog
    from nbstep_runner.kernel.early import launch_early
    from nbstep_runner.kernel.process import LaunchOptions

    given: Watchdog | None = click.get_current_context().obj
    watchdog = given or make_watchdog()
    launch = LaunchOptions(
        working_directory=options["cwd"], stock=options["stock_kernel"], token=watchdog.token, watchdog=watchdog
    )
    later = options["prepare_only"] or options["state"] or options["resume"]
    early = launch_early(options["kernel"], launch, wanted=not later)  # one that keeps a state has to know its folder
    from nbstep_runner.supervisor import note_signals

    note_signals()
    from nbstep_runner.cli.process import run_in_this_process

    code = run_in_this_process(spec, options, early, watchdog)
    if given is None:
        watchdog.dismiss()  # not after an exception, such as that of SIGINT: then it clears the early kernel away
    return code
