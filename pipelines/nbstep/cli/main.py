"""``nbstep``: the commands for people. The only place of the launcher that ends the process."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

import click

from nbstep.cli.lazy import LazyGroup
from nbstep.cli.streams import outlive_readers
from nbstep_runner.cli.standard_streams import open_standard_streams
from nbstep_runner.errors import ExitCode, NbstepError

PROGRAM: Final = "nbstep"

SECTIONS: Final = {
    "Start": {
        "run": "Run a notebook here and watch it.",
        "sweep": "Run a notebook with many parameter sets at once.",
        "submit": "Start a run somewhere else, and go.",
        "serve": "Serve what a notebook offers, until it is deleted.",
        "rerun": "Run what a run ran once more.",
    },
    "Look": {
        "list": "List the runs of a folder.",
        "status": "Show how a run, a sweep or an endpoint stands.",
        "logs": "Show the log of a run, a sweep or an endpoint.",
        "wait": "Wait for the end of a run or a sweep.",
        "open": "Open a run's executed notebook.",
        "compare": "Compare runs side by side.",
        "ui": "Show the runs of a folder in a browser.",
        "server": "Serve the runs of a team, or print what a cluster needs for it.",
        "files": "List or fetch the files that a run has left.",
        "endpoints": "List the endpoints of a folder.",
    },
    "End": {
        "cancel": "Ask a run or a sweep to save and end.",
        "delete": "Remove a run, a sweep or an endpoint, and all that it left.",
        "prune": "Remove old runs of a folder.",
    },
    "Prepare": {
        "params": "Show a notebook's parameters.",
        "tag": "Tag a notebook's parameters cell.",
        "untag": "Take the tag from a notebook's parameters cell.",
        "compile": "Make a component or pipeline for Kubeflow Pipelines.",
        "build": "Build an image for a notebook.",
        "profiles": "List and check the profiles.",
        "doctor": "Check whether runs can take place.",
        "stores": "Show where notebooks can be read from and written to.",
        "completion": "Print shell completion.",
    },
}


class Version:
    """The version, read only if it is asked for."""

    def __str__(self) -> str:
        from importlib import metadata  # costs as much as all the rest of this module

        with suppress(metadata.PackageNotFoundError):
            return metadata.version("nbstep")
        return "unknown"


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    hidden=frozenset({"endpoint-step"}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(Version(), prog_name=PROGRAM)  # type: ignore[arg-type]  # click only prints it
def group() -> None:
    """Run notebooks as dependable pipeline steps, here or on a cluster."""


def main() -> None:
    """Run the command line, and end with its exit code; a user's mistake is two lines, never a traceback."""
    open_standard_streams()
    outlive_readers()
    codes: list[int] = []
    atexit.register(_end_at_once, codes)  # the first registered is the last called
    codes.append(_flushed(run(sys.argv[1:])))
    sys.exit(codes[0])


def _flushed(code: int) -> int:
    """The code to end with once what was printed has left; Python's own flush tells nobody of what it cannot write."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except NbstepError as error:
        _explain(error)
        return code or int(error.exit_code)
    except SystemExit:  # its reader has gone
        pass
    except KeyboardInterrupt:  # nobody waits for the rest
        return code or int(ExitCode.INTERRUPTED)
    return code


def _end_at_once(codes: list[int]) -> None:
    """End the process once its threads have ended and all that was to be done at exit is done.

    Python would take its modules apart, which is an eighth to a fifth of the time of a short command. Where there is no
    code to end with, it does.
    """
    with suppress(Exception, SystemExit):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    if codes:
        os._exit(codes[0])


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        value: Any = group.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Aborted.", err=True)
        return int(ExitCode.INTERRUPTED)
    except NbstepError as error:
        _explain(error)
        return int(error.exit_code)
    except Exception:  # noqa: BLE001 - a fault of ours: its traceback is what a report of it needs
        traceback.print_exc()
        return int(ExitCode.INTERNAL)
    return int(value or 0)


def _explain(error: NbstepError) -> None:
    with suppress(NbstepError):  # where that cannot be written either, the exit code says it
        click.echo(f"{PROGRAM}: {error.message}\n{error.hint}", err=True)
