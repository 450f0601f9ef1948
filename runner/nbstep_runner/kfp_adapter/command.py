"""The command ``nbstep-runner kfp-step``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from nbstep_runner.contract import ErrorInfo, RunResult, RunState, StepPlan, decode, encode
from nbstep_runner.errors import BadInputError, ExitCode, StorageUnavailableError
from nbstep_runner.kfp_adapter.arguments import Files, runner_arguments
from nbstep_runner.kfp_adapter.deliver import check_promises, deliver, missing_artifacts, try_to_deliver
from nbstep_runner.kfp_adapter.executor_input import ExecutorInput, read_executor_input
from nbstep_runner.kfp_adapter.notebook import step_notebook

Runner = Callable[[list[str]], int]
"""Runs the runner's own command line and returns its exit code."""


@click.command("kfp-step", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--executor-input", metavar="JSON", help="KFP's ExecutorInput: '{{$}}' in a component.")
@click.option("--executor-input-file", type=click.Path(exists=True, dir_okay=False), help="The same, in a file.")
@click.option("--plan", required=True, metavar="JSON", help="What was fixed when the step was compiled.")
@click.option("--notebook", metavar="BASE64", help="The notebook, gzipped; without it the plan names its place.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RUNNER OPTIONS]")
@click.pass_obj
def command(
    run: Runner,
    executor_input: str | None,
    executor_input_file: str | None,
    plan: str,
    notebook: str | None,
    options: tuple[str, ...],
) -> int:
    """Run a notebook as a step of Kubeflow Pipelines; its component holds this command line."""
    if (executor_input is None) == (executor_input_file is None):
        raise click.UsageError("Give --executor-input or --executor-input-file.")
    message = executor_input.encode() if executor_input is not None else Path(str(executor_input_file)).read_bytes()
    return Step(decode(plan.encode(), StepPlan), read_executor_input(message), run).execute(notebook, options)


class Step:
    """One execution of a step."""

    def __init__(self, plan: StepPlan, executor_input: ExecutorInput, run: Runner) -> None:
        self._plan = plan
        self._input = executor_input
        self._run = run
        self._files = Files(Path(executor_input.outputs.output_file).parent)

    def execute(self, notebook: str | None, options: tuple[str, ...]) -> int:
        """Run the notebook and deliver its outputs; the exit code is the run's, unless a promise is broken.

        Raises:
            NbstepError: The step could not begin, or succeeded without leaving what it declares.
        """
        arguments = self._prepare(notebook, options)
        code = self._run(arguments)
        record = self._record()
        if record is None:
            return code
        if code == ExitCode.SUCCEEDED and missing_artifacts(self._plan, self._input.outputs):
            # An earlier attempt succeeded, and its record answered; what it wrote on its own disk is gone with it.
            code = self._run([*arguments, "--force"])
            record = self._record() or record
        return self._conclude(code, record)

    def _prepare(self, notebook: str | None, options: tuple[str, ...]) -> list[str]:
        try:
            self._files.folder.mkdir(parents=True, exist_ok=True)
            self._files.record.unlink(missing_ok=True)
            self._files.notebook.write_bytes(step_notebook(self._plan, notebook))
            return runner_arguments(self._plan, self._input, self._files, options)
        except OSError as error:
            raise _unwritable(error) from error

    def _record(self) -> RunResult | None:
        file = self._files.record
        return decode(file.read_bytes(), RunResult) if file.exists() else None

    def _conclude(self, code: int, record: RunResult) -> int:
        outputs = self._input.outputs
        if code != ExitCode.SUCCEEDED:
            problem = try_to_deliver(self._plan, record, outputs)
            if problem:
                click.echo(f"nbstep-runner: the outputs of the failed step are not complete: {problem}", err=True)
            return code
        try:
            deliver(self._plan, record, outputs)
        except OSError as error:
            raise _unwritable(error) from error
        self._check(record)
        return code

    def _check(self, record: RunResult) -> None:
        """Whether what the step declares is there; if not, the local copy of the record says so too."""
        try:
            check_promises(self._plan, record, self._input.outputs)
        except BadInputError as error:
            failed = replace(record, state=RunState.FAILED, exit_code=int(error.exit_code), error=ErrorInfo.of(error))
            self._files.record.write_bytes(encode(failed))
            raise


def _unwritable(error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"a file of the step cannot be written: {error.strerror or error}: {error.filename}",
        hint="The container's user has to be able to write where the engine wants its outputs.",
    )


def run_step(arguments: list[str], run: Runner) -> int:
    """The command with these arguments; ``run`` runs the runner's own command line."""
    value = command.main(arguments, prog_name="nbstep-runner kfp-step", standalone_mode=False, obj=run)
    sys.stdout.flush()
    return int(value or 0)
