"""``nbstep run --on``: the runner's command line in another place, such as a container, watched from here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import click

from nbstep.backends.local.process import signals_to
from nbstep.backends.protocol import Backend, Located, Status
from nbstep.backends.registry import backend_named
from nbstep.errors import LostRunError
from nbstep.profiles import load_profile
from nbstep.runs.run import Run
from nbstep.views.log_lines import for_people, parse
from nbstep_runner.contract import STANDARD_STREAM, RunResult, RunSpec
from nbstep_runner.errors import ExitCode, NbstepError, OutOfMemoryError, UsageError

STARTED: Final = "run-started"


class Watched:
    """The lines of a run's log, and what they say of where its record is."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.run_id = self.input_uri = self.output_uri = ""

    def __iter__(self) -> Iterator[bytes]:
        for line in self._pieces:
            if not self.output_uri and STARTED.encode() in line and (begin := parse(line)).event == STARTED:
                self.run_id, self.input_uri, self.output_uri = begin.run_id, begin.input_uri, begin.output_uri or ""
            yield line


def run_attached(
    on: str, arguments: Sequence[str], place: dict[str, Any], log_format: str, *, as_json: bool, quiet: bool
) -> int:
    """Have a place run the runner with these arguments, show its log, and return its exit code.

    Args:
        on: The name of the place's backend.
        arguments: The runner's.
        place: The options of the place, by name; the working directory and the folders at ``mount`` are the run's too.
        log_format: How the log is shown.
        as_json: Print the run's record on stdout.
        quiet: Show warnings and errors only.

    Raises:
        OutOfMemoryError, LostRunError: The runner was killed before the run had begun.
        UsageError: The place runs no command line.
        NotStartedError: The place cannot run it.
    """
    backend: Any = backend_named(on)
    if not hasattr(backend, "attached"):
        raise UsageError(f"the backend {on!r} runs no notebook that is watched from here", hint="Use nbstep submit.")
    resources = {name: place[name] for name in ("cpu", "memory") if place[name]}
    profile = load_profile(place["profile"], {"on": on, "image": place["image"], "resources": resources})
    told = [*arguments, "--log-format", "json", *(["--quiet"] if quiet else [])]
    with backend.attached(profile, told, place["mount"]) as run:
        with signals_to(run.send):
            log = Watched(run.lines())
            _show(log, log_format, as_json=as_json)
        return _concluded(run.status(), log, backend, as_json=as_json)


def _show(log: Watched, log_format: str, *, as_json: bool) -> None:
    stream = sys.stderr if as_json else sys.stdout
    if log_format == "auto" and stream.isatty():
        _view(log)
        return
    write = partial(print, file=stream, flush=True)
    for line in log:
        write(line.decode(errors="replace") if log_format == "json" else for_people(parse(line)))


def _view(log: Watched) -> None:
    from nbstep.views.terminal import RunView

    with RunView() as view:
        for line in log:
            view.feed(line)


def _concluded(ended: Status, log: Watched, backend: Backend, *, as_json: bool) -> int:
    """The exit code; where the runner could not write its verdict, it is written now."""
    own = ended.exit_code in frozenset(ExitCode)  # any other is of what ended the runner without a word
    record = _record(ended, log, backend, own=own) if log.output_uri else None
    if as_json and record is not None:
        from nbstep.cli.output import show_json

        show_json(record)
    if own:
        return int(ended.exit_code or 0)
    if record is not None and record.exit_code is not None:
        if record.error:
            click.echo(f"nbstep: {record.error.message}\n{record.error.hint}", err=True)
        return record.exit_code
    if ended.reference == OutOfMemoryError.reference:
        raise OutOfMemoryError(ended.words)
    raise LostRunError(ended.words)


def _record(ended: Status, log: Watched, backend: Backend, *, own: bool) -> RunResult | None:
    """The run's verdict as it lies in storage, if this machine can read it; one of a killed runner is written here.

    ``own`` says that the runner itself has ended.
    """
    if log.output_uri == STANDARD_STREAM:
        return None
    run = _Started(log, backend)
    with suppress(NbstepError):  # the runner may have had other credentials, or another endpoint
        record = run.record() if own else run.status_seen(ended).record
        return record if record and record.state.final and record.run_id == log.run_id else None
    return None


class _Started(Run):
    """A run that was not submitted: what is known of it is what its log said first."""

    def __init__(self, log: Watched, backend: Backend) -> None:
        located = Located(run_id=log.run_id, spec_uri="", output_uri=log.output_uri)
        super().__init__(f"{backend.scheme}://{log.run_id}", located, backend)
        self._input_uri = log.input_uri

    def spec(self) -> RunSpec:
        """As much of what was asked for as the log told."""
        return RunSpec(run_id=self.id, input_uri=self._input_uri, output_uri=self.output_uri)
