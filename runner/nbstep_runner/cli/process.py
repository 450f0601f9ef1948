"""A run in this process: its streams, its signals, its duties as the first process of a container."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from nbstep_runner.contract import STANDARD_STREAM, RunResult, RunSpec, encode
from nbstep_runner.errors import ExitCode
from nbstep_runner.kernel.early import EarlyKernel
from nbstep_runner.kernel.watchdog import Watchdog
from nbstep_runner.processes import become_subreaper
from nbstep_runner.session.kernels import KernelSource, supervised
from nbstep_runner.session.ledger import LogSettings
from nbstep_runner.session.places import refuse_own_place
from nbstep_runner.session.run import RunTools, run_once
from nbstep_runner.session.termination import write_termination_message
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.sinks.streams import open_at_once, stream_files
from nbstep_runner.sinks.trace import tracing
from nbstep_runner.supervisor import Supervisor, begin

COPIED_WITHIN_SECONDS: Final = 10.0
"""How long whoever reads the copy of the record may take; no signal ends this wait."""


def run_in_this_process(
    spec_source: Callable[[], RunSpec], options: dict[str, Any], early: EarlyKernel, watchdog: Watchdog
) -> int:
    """Run a spec with the streams and signals of this process, and return the exit code of its record.

    Args:
        spec_source: Makes or reads the spec; it may take a while.
        options: The command line's values that are not part of the spec.
        early: The kernel that was launched before.
        watchdog: The only child of this process that is not the run's.

    Raises:
        BadInputError: A file that is to be written besides is one that the run reads or writes.
    """
    become_subreaper()
    with supervised(early, watchdog.pid, options["grace_period"]) as (supervisor, kernels):
        spec = supervisor.call(spec_source, doing="reading the spec")
        for name in ("stdout_file", "stderr_file", "record_file"):
            if options[name]:
                refuse_own_place(spec, options[name])
        result = run_once(spec, _tools(spec, options, supervisor, kernels, watchdog))
    write_termination_message(result)
    if options["record_file"]:
        _copy_record(result, options["record_file"])
    return int(ExitCode.INTERNAL) if result.exit_code is None else result.exit_code


def _tools(
    spec: RunSpec, options: dict[str, Any], supervisor: Supervisor, kernels: KernelSource, watchdog: Watchdog
) -> RunTools:
    """What the run uses of this process; with the notebook on standard output, the log goes to standard error."""
    traces = tracing()
    log_stream: BinaryIO = sys.stderr.buffer if spec.output_uri == STANDARD_STREAM else sys.stdout.buffer
    return RunTools(
        supervisor=supervisor,
        kernels=kernels,
        log=LogSettings(
            stream=log_stream,
            format=log_format(options["log_format"], log_stream),
            quiet=options["quiet"],
            sinks=(*stream_files(options["stdout_file"], options["stderr_file"]), *traces.sinks),
            warnings=traces.warnings,
        ),
        notebook_stream=_own_stream() if spec.output_uri == STANDARD_STREAM else sys.stdout.buffer,
        entrust=watchdog.entrust,
    )


def _own_stream() -> BinaryIO:
    """Standard output with a buffer of its own: a write that nobody reads to its end must not keep others waiting."""
    return open(sys.stdout.fileno(), "wb", closefd=False)


def _copy_record(result: RunResult, path: str) -> None:
    """Leave a copy of the record; a copy that cannot be written is told, and changes no verdict."""

    def copy() -> None:
        with open(path, "wb", opener=open_at_once) as file:
            file.write(encode(result))

    is_read_meanwhile = Path(path).exists() and not Path(path).is_file()  # a pipe; a file is read once this has ended
    try:
        begin(copy, doing="copying the record").result(COPIED_WITHIN_SECONDS if is_read_meanwhile else None)
    except TimeoutError:
        _tell_uncopied(path, f"it was not taken within {COPIED_WITHIN_SECONDS:g} s")
    except OSError as error:
        _tell_uncopied(path, error.strerror or str(error))


def _tell_uncopied(path: str, why: str) -> None:
    click.echo(f"nbstep-runner: the record cannot be copied to {path}: {why}", err=True)


def log_format(name: str, stream: BinaryIO) -> LogFormat:
    """The format that is asked for; ``auto`` is for people where people read, and for machines elsewhere."""
    if name == "auto":
        return LogFormat.CONSOLE if stream.isatty() else LogFormat.JSON
    return LogFormat(name)
