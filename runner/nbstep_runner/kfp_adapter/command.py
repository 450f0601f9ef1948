"""The command ``nbstep-runner kfp-step``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from nbstep_runner.contract import ErrorInfo, RunResult, RunState, StepSpec, StorageOptions, decode, encode
from nbstep_runner.errors import BadInputError, ExitCode, StorageUnavailableError
from nbstep_runner.kfp_adapter.arguments import Files, in_workspace, runner_arguments
from nbstep_runner.kfp_adapter.attempts import repeat
from nbstep_runner.kfp_adapter.deliver import check_promises, deliver, missing_artifacts, try_to_deliver
from nbstep_runner.kfp_adapter.executor_input import ExecutorInput, read_executor_input
from nbstep_runner.kfp_adapter.notebook import step_notebook

CHECKPOINT_SECONDS: Final = 10.0
"""At most this long between partial notebooks: a step whose pod goes has less than a second to publish anything."""


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What a step itself needs of the runner's options and the environment."""

    storage: StorageOptions
    checkpoint_seconds: float
    run_seconds: float | None
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class RunnerCommand:
    """The runner's own command line.

    Attributes:
        run: Runs it and returns its exit code.
        options: What the runner makes of its options and the environment.
    """

    run: Callable[[list[str]], int]
    options: Callable[[list[str]], StepOptions]


@click.command("kfp-step", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--executor-input", metavar="JSON", help="KFP's ExecutorInput: '{{$}}' in a component.")
@click.option("--executor-input-file", type=click.Path(exists=True, dir_okay=False), help="The same, in a file.")
@click.option("--plan", required=True, metavar="JSON", help="What was fixed when the step was compiled.")
@click.option("--notebook", metavar="BASE64", help="The notebook, gzipped; without it the plan names its place.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RUNNER OPTIONS]")
@click.pass_obj
def command(
    runner: RunnerCommand,
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
    return Step(decode(plan.encode(), StepSpec), read_executor_input(message), runner, options).execute(notebook)


class Step:
    """One execution of a step.

    Args:
        plan: What was fixed when it was compiled.
        executor_input: What the engine passes.
        runner: Runs the notebook.
        options: The runner's; those of storage hold for what is fetched and delivered too.

    Raises:
        BadInputError: The place of its runs is not told.
    """

    def __init__(
        self, plan: StepSpec, executor_input: ExecutorInput, runner: RunnerCommand, options: tuple[str, ...]
    ) -> None:
        self._plan = in_workspace(plan, executor_input)
        self._input = executor_input
        self._run = runner.run
        self._arguments = options
        self._options = runner.options(list(options))
        self._storage = self._options.storage
        self._files = Files(Path(executor_input.outputs.output_file).parent)

    def execute(self, notebook: str | None) -> int:
        """Run the notebook and deliver its outputs; the exit code is the run's, unless a promise is broken.

        Raises:
            NbstepError: The step could not begin, or succeeded without leaving what it declares.
        """
        arguments = self._prepare(notebook)
        code = repeat(
            partial(self._attempt, arguments),
            self._plan.retries,
            within=self._options.run_seconds,
            grace=self._options.grace_seconds,
        )
        if code == ExitCode.SUCCEEDED and missing_artifacts(self._plan, self._input.outputs):
            # An earlier attempt succeeded, and its record answered; what it wrote on its own disk is gone with it.
            code = self._attempt([*arguments, "--force"])
        record = self._record()
        return code if record is None else self._conclude(code, record)

    def _attempt(self, arguments: list[str]) -> int:
        self._files.record.unlink(missing_ok=True)
        return self._run(arguments)

    def _prepare(self, notebook: str | None) -> list[str]:
        try:
            self._files.folder.mkdir(parents=True, exist_ok=True)
            self._files.notebook.write_bytes(step_notebook(self._plan, notebook, self._storage))
            checkpoints = min(self._options.checkpoint_seconds, CHECKPOINT_SECONDS)
            options = ("--autosave-cell-every", f"{checkpoints:g}", *self._arguments)
            return runner_arguments(self._plan, self._input, self._files, options)
        except OSError as error:
            raise _unwritable(error) from error

    def _record(self) -> RunResult | None:
        file = self._files.record
        return decode(file.read_bytes(), RunResult) if file.exists() else None

    def _conclude(self, code: int, record: RunResult) -> int:
        outputs = self._input.outputs
        if code != ExitCode.SUCCEEDED:
            problem = try_to_deliver(self._plan, record, outputs, self._storage)
            if problem:
                click.echo(f"nbstep-runner: the outputs of the failed step are not complete: {problem}", err=True)
            return code
        try:
            deliver(self._plan, record, outputs, self._storage)
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


def run_step(arguments: list[str], runner: RunnerCommand) -> int:
    """The command with these arguments."""
    value = command.main(arguments, prog_name="nbstep-runner kfp-step", standalone_mode=False, obj=runner)
    sys.stdout.flush()
    return int(value or 0)
