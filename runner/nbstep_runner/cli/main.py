"""``nbstep-runner INPUT OUTPUT [PARAMS]``: one notebook, run once. The only place that ends the process."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from nbstep_runner.cli import TYPED_COMMAND
from nbstep_runner.cli.standard_streams import open_standard_streams
from nbstep_runner.descriptors import keep_some
from nbstep_runner.errors import ExitCode, InternalError, NbstepError, UsageError

if TYPE_CHECKING:
    from nbstep_runner.kernel.watchdog import Watchdog
    from nbstep_runner.kfp_adapter.command import StepOptions

PROGRAM = os.environ.pop(TYPED_COMMAND, "nbstep-runner")
"""The command that was typed, such as ``nbstep run``; taken out of the environment, so that no kernel inherits it."""

PIPELINE_STEP = "kfp-step"


def main() -> None:
    """Run the command line, flush what was written, and end with the verdict's code.

    The process ends without Python's own teardown: by then everything is written and every child is gone, and what
    teardown would wait for (a thread in a call that storage does not answer) must not hold up the exit code.
    """
    gc.disable()  # until the first cell: what a start imports is there to stay, and would be looked through in vain
    open_standard_streams()
    keep_some()
    code = _run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever read it is gone; the verdict stands
            stream.flush()
    os._exit(code)


def _run(arguments: list[str], watchdog: Watchdog | None = None) -> int:
    try:
        value = _command(arguments, watchdog)
    except click.ClickException as error:
        error.show()
        return _tell_kubernetes(UsageError(error.format_message()))
    except click.Abort:
        return int(ExitCode.INTERRUPTED)
    except NbstepError as error:
        _explain(error)
        return _tell_kubernetes(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: its traceback is what a report of it needs
        traceback.print_exc()
        from nbstep_runner.stores import redact

        return _tell_kubernetes(InternalError(redact(f"{type(error).__name__}: {error}")))
    return int(value or 0)


def _command(arguments: list[str], watchdog: Watchdog | None) -> Any:
    if arguments[:1] == [PIPELINE_STEP]:
        from nbstep_runner.cli.guard import make_watchdog

        step = make_watchdog()  # of all its attempts: later, the process has threads
        from nbstep_runner.kfp_adapter.command import RunnerCommand, run_step

        code = run_step(arguments[1:], RunnerCommand(partial(_run, watchdog=step), _step_options))
        step.dismiss()  # what an attempt has left behind is kept on purpose, such as a notebook that found no place
        return code
    from nbstep_runner.cli.command import command

    return command.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=watchdog)


def _step_options(options: list[str]) -> StepOptions:
    """What the command would make of its options and the environment, as far as a step goes by it itself."""
    from nbstep_runner.cli.command import command
    from nbstep_runner.cli.spec import storage_of
    from nbstep_runner.kfp_adapter.command import StepOptions

    given = command.make_context(PROGRAM, options).params
    return StepOptions(
        storage=storage_of(given),
        checkpoint_seconds=given["autosave_cell_every"],
        run_seconds=given["run_timeout"],
        grace_seconds=given["grace_period"],
    )


def _tell_kubernetes(error: NbstepError) -> int:
    """Leave an error that no record has as the container's message; its exit code."""
    from nbstep_runner.session.termination import write_termination_error

    write_termination_error(error)
    return int(error.exit_code)


def _explain(error: NbstepError) -> None:
    click.echo(f"{PROGRAM}: {error.message}\n{error.hint}", err=True)
