"""``nbstep run``: a run in a child process, watched."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbstep.backends.local.process import Child, default_output
from nbstep_runner.cli.command import command as runner_command
from nbstep_runner.cli.sections import SectionedCommand, section
from nbstep_runner.contract import STANDARD_STREAM

if TYPE_CHECKING:
    from nbstep_runner.contract import RunResult


class RunCommand(SectionedCommand):
    """A command that takes the runner's options too, each described in one place: the runner's own command."""

    def help_params(self, ctx: click.Context) -> list[click.Parameter]:
        """This command's options and those of the runner's that it does not have itself."""
        own = self.get_params(ctx)
        names = {name for parameter in own for name in parameter.opts}
        return [*own, *(each for each in runner_command.get_params(ctx) if not names.intersection(each.opts))]


@click.command(
    "run",
    cls=RunCommand,
    # No short option is read here: -kquiet belongs to the runner as a whole.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="NOTEBOOK [OUTPUT] [PARAMS]")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record on stdout; the log goes to stderr.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    envvar="NBSTEP_LOG_FORMAT",
    help="How the log looks; auto: a view that follows the run on a terminal, lines for people in a pipe.",
)
@click.option("--quiet", is_flag=True, envvar="NBSTEP_QUIET", help="Show warnings and errors only.")
@section(
    "Place",
    click.option("--on", metavar="[local|docker]", help="Where it runs. [default: local]"),
    click.option("--image", help="With --on docker: the image."),
    click.option("--memory", help="With --on docker: the memory limit, such as 4Gi."),
    click.option("--cpu", help="With --on docker: the CPUs, such as 2 or 500m."),
    click.option(
        "--mount", multiple=True, metavar="FOLDER", help="With --on docker: a folder besides the working directory."
    ),
    click.option("--profile", help="With --on docker: a profile of the profiles file."),
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    arguments: tuple[str, ...],
    as_json: bool,
    log_format: str,
    quiet: bool,
    on: str | None,
    **place: Any,
) -> int:
    """Run NOTEBOOK with the parameters in PARAMS, write the executed notebook to OUTPUT, and watch it.

    Each is a path or a URI (gs://, s3://, sftp://, https://, …). Without OUTPUT the executed notebook of x.ipynb is
    x.out.ipynb in the current folder; in a pipe it is written to standard output instead.

    The exit code is the runner's, and says how the run ended.
    """
    on = _elsewhere(on)
    if on is None and (given := [name for name, value in place.items() if value]):
        raise click.UsageError(f"--{given[0]} goes with --on docker.")
    asked = runner_command.make_context(ctx.info_name, list(arguments), parent=ctx.parent).params
    quiet = quiet or asked["quiet"]
    output = asked["output_uri"] or (asked["spec_uri"] and "spec")
    if output is None and asked["input_uri"] and not asked["help_notebook"] and sys.stdout.isatty():
        output = default_output(asked["input_uri"])
        arguments = (*arguments, output)
        if not quiet:
            click.echo(f"{ctx.command_path}: the executed notebook goes to {output}", err=True)
    if on is not None:
        from nbstep.cli.attached import run_attached

        return run_attached(on, arguments, place, log_format, as_json=as_json, quiet=quiet)
    form = "console" if log_format == "auto" else log_format
    told = [*arguments, *(["--quiet"] if quiet else [])]
    # Standard output is the notebook's then, or its parameters' where those are asked for.
    if output in {None, STANDARD_STREAM}:
        if as_json:
            raise click.UsageError("--json prints the record on standard output: name an OUTPUT for the notebook.")
        return _plain(told, form, program=ctx.command_path)
    if log_format == "auto" and not (quiet or as_json) and sys.stdout.isatty():
        return _watched(told, program=ctx.command_path)
    record, code = _recorded(told, form, program=ctx.command_path, log_to_stderr=as_json)
    if as_json and record:
        from nbstep.cli.output import show_json

        show_json(record)
    elif record and form == "console" and not quiet:
        _say_where(record)
    return code


def _elsewhere(on: str | None) -> str | None:
    """The backend that was named, unless its runs are processes of this machine."""
    if on is None:
        return None
    from nbstep.backends.registry import runs_here

    return None if runs_here(on) else on


def _recorded(
    arguments: list[str], log_format: str, *, program: str, log_to_stderr: bool
) -> tuple[RunResult | None, int]:
    """Let the child write its log itself; the run's record, unless it ended before there was one, and the exit code."""
    with tempfile.TemporaryDirectory(prefix="nbstep-") as folder:
        file = Path(folder) / "record.json"
        told = [*arguments, "--record-file", str(file)]
        with _writing(told, log_format, program=program, log_to_stderr=log_to_stderr) as child:
            from nbstep_runner.contract import RunResult, decode  # while the child runs

            code = child.wait()
        return decode(file.read_bytes(), RunResult) if file.exists() else None, code


def _plain(arguments: list[str], log_format: str, *, program: str) -> int:
    """Let the child write its log itself, and no more; its exit code."""
    with _writing(arguments, log_format, program=program) as child:
        return child.wait()


def _writing(arguments: list[str], log_format: str, *, program: str, log_to_stderr: bool = False) -> Child:
    """A child that writes its log itself."""
    stream = sys.stderr if log_to_stderr else sys.stdout
    return Child([*arguments, "--log-format", log_format], program=program, stdout=stream.fileno())


def _watched(arguments: list[str], *, program: str) -> int:
    """Show the run as it goes; the view says at its end where everything is."""
    with Child([*arguments, "--log-format", "json"], program=program) as child:
        from nbstep.views.terminal import RunView  # while the child starts

        with RunView() as view:
            for line in child.lines():
                view.feed(line)
            code = child.wait()
            view.close(exit_code=code)
    return code


def _say_where(record: RunResult) -> None:
    """Say where the results are, once the log has ended."""
    if record.output_uri == STANDARD_STREAM:
        return
    places: dict[str, Any] = {"executed notebook": record.output_version and record.output_uri, "HTML": record.html_uri}
    for name, uri in places.items():
        if uri:
            click.echo(f"{name}: {uri}")
