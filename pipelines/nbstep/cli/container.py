"""``nbstep run --on docker``: the runner's command line in a container, watched from here."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from nbstep.backends.docker.backend import DockerBackend, status
from nbstep.backends.docker.engine import Engine, engine
from nbstep.backends.docker.logs import lines
from nbstep.backends.docker.request import container
from nbstep.backends.local.signals import signals_to
from nbstep.backends.protocol import Located, Status
from nbstep.errors import LostRunError
from nbstep.profiles import load_profile
from nbstep.runs.run import Run
from nbstep.views.log_lines import for_people, parse
from nbstep_runner.contract import STANDARD_STREAM, RunResult, RunSpec
from nbstep_runner.errors import ExitCode, NbstepError, OutOfMemoryError

GRACE_SECONDS: Final = 25.0
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


def run_in_container(
    arguments: Sequence[str], options: dict[str, Any], log_format: str, *, as_json: bool, quiet: bool
) -> int:
    """Run the image's runner with these arguments, show its log, and return its exit code.

    The working directory and the folders that ``options["mount"]`` names are the container's too, at the same paths.

    Raises:
        OutOfMemoryError, LostRunError: The container was killed before the run had begun.
        NotStartedError: The image cannot be had or started.
    """
    request, pull = _request(arguments, options, quiet=quiet)
    daemon, name = engine(), f"nbstep-run-{secrets.token_hex(6)}"
    daemon.provide(request["Image"], pull=pull)
    try:
        daemon.create(name, request)
        with signals_to(partial(_send, daemon, name)):
            daemon.start(name)
            log = Watched(line for line in lines(daemon, name, follow=True) if line is not None)
            _show(log, log_format, as_json=as_json)
        return _concluded(status(daemon, name), log, as_json=as_json)
    finally:
        daemon.remove(name)


def _request(arguments: Sequence[str], options: dict[str, Any], *, quiet: bool) -> tuple[dict[str, Any], bool]:
    resources = {name: options[name] for name in ("cpu", "memory") if options[name]}
    profile = load_profile(options["profile"], {"on": "docker", "image": options["image"], "resources": resources})
    here = str(Path.cwd())
    request = container(
        profile,
        [*arguments, "--log-format", "json", *(["--quiet"] if quiet else [])],
        writable=[here, *(str(Path(folder).absolute()) for folder in options["mount"])],
        labels=profile.labels,
        grace=GRACE_SECONDS,
        folder=here,
    )
    return request, profile.docker.pull


def _send(daemon: Engine, name: str, number: int) -> None:
    """Send a signal from a thread: the connection that is being read may be in the middle of anything."""
    threading.Thread(target=daemon.signal, args=(name, signal.Signals(number).name)).start()


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


def _concluded(ended: Status, log: Watched, *, as_json: bool) -> int:
    """The exit code; where the runner could not write its verdict, it is written now."""
    own = ended.exit_code in frozenset(ExitCode)  # any other is of what ended the runner without a word
    record = _record(ended, log, own=own) if log.output_uri else None
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


def _record(ended: Status, log: Watched, *, own: bool) -> RunResult | None:
    """The run's verdict as it lies in storage, if this machine can read it; one of a killed runner is written here.

    Args:
        ended: How the container ended.
        log: Of the run.
        own: The runner itself has ended.
    """
    if log.output_uri == STANDARD_STREAM:
        return None
    run = _Started(log)
    with suppress(NbstepError):  # the runner may have had other credentials, or another endpoint
        record = run.record() if own else run.status_seen(ended).record
        return record if record and record.state.final and record.run_id == log.run_id else None
    return None


class _Started(Run):
    """A run that was not submitted: what is known of it is what its log said first."""

    def __init__(self, log: Watched) -> None:
        located = Located(run_id=log.run_id, spec_uri="", output_uri=log.output_uri)
        super().__init__(f"docker://{log.run_id}", located, DockerBackend())
        self._input_uri = log.input_uri

    def spec(self) -> RunSpec:
        """As much of what was asked for as the log told."""
        return RunSpec(run_id=self.id, input_uri=self._input_uri, output_uri=self.output_uri)
