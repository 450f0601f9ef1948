"""Runs as processes of this machine that survive whoever started them.

A run has a folder of its own: the working directory ``work``, the log as it streams, and ``process.json``, which says
what process it is. It has no environment but the launcher's own and the profile's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

from nbstep.backends.arguments import arguments
from nbstep.backends.local.folders import (
    ELSEWHERE,
    SCHEME,
    Process,
    folder_of,
    handle_of,
    id_of,
    process_of,
    write_process,
)
from nbstep.backends.local.process import RUNNER
from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission
from nbstep.backends.reach import Packages, Reach
from nbstep.errors import NotStartedError, RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner import processes
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import UsageError

LOOK_SECONDS: Final = 0.05
PIECE_BYTES: Final = 2**20
"""So much of a log is read at once."""
_ASKED: Final = "asked-to-end"
"""The file that says that somebody asked for the end: a runner that had not begun to listen left no record of it."""


class LocalBackend:
    """Starts ``nbstep-runner`` in a session of its own."""

    scheme: ClassVar[str] = SCHEME
    here: ClassVar[bool] = True
    endpoints: ClassVar[str] = "nbstep.endpoints.local:LocalHost"

    def reach(self, profile: Profile) -> Reach:
        """This machine's own files and this very Python."""
        return Reach.of_this_machine(profile, Packages.INSTALLED)

    def plan(self, submission: Submission) -> Plan:
        """The command, its environment and its folder."""
        spec, profile = submission.spec, submission.profile
        if references := [name for name, value in profile.env.items() if not isinstance(value, str)]:
            raise UsageError(
                f"a local run cannot read {references[0]} from a cluster's secret",
                hint="Set the variable in this environment; the run inherits it.",
            )
        if spec.working_directory and not Path(spec.working_directory).is_dir():
            raise UsageError(
                f"there is no folder {spec.working_directory} to run in",
                hint="Name one of this machine with working_directory=, or leave it out: the run gets one of its own.",
            )
        handle = handle_of(spec.run_id, submission.spec_uri)
        folder = folder_of(handle)
        command = [*RUNNER, *arguments(spec, submission.spec_uri)]
        body = {
            "command": command,
            "environment": dict(profile.env),
            "folder": str(folder),
            "run": {"spec_uri": submission.spec_uri, "output_uri": spec.output_uri, "storage": asdict(spec.storage)},
        }
        variables = "".join(f"{name}={shlex.quote(str(value))} " for name, value in profile.env.items())
        text = f"cd {shlex.quote(str(folder / 'work'))}\n{variables}{shlex.join(command)}\n"
        return Plan(handle=handle, body=body, text=text)

    def submit(self, plan: Plan) -> None:
        """Start the process, unless it was started before.

        Raises:
            NotStartedError: What this machine keeps of its runs cannot be written.
            UsageError: This process belongs to a run, which leaves no process behind when it ends.
        """
        if processes.TOKEN_VARIABLE in os.environ:
            raise UsageError(
                "a local run cannot be submitted from a notebook that nbstep runs: it would end with that run",
                hint="Run it within the cell with `nbstep run`, or submit it to docker or Kubernetes.",
            )
        folder = Path(plan.body["folder"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                if process_of(folder) is None:
                    (folder / "work").mkdir(exist_ok=True)
                    _begin(folder, plan.body)
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise NotStartedError(
                    "the environment of the run is larger than a process can have",
                    hint="Put what is large into a file.",
                ) from error
            raise NotStartedError(
                f"a local run works in {folder}, which cannot be written: {error.strerror}", hint=ELSEWHERE
            ) from error

    def forget(self, handle: str) -> None:
        """Remove what is known of a run that has ended, so that its id can be used again."""
        folder = folder_of(handle)
        process = process_of(folder)
        if process is not None and not process.alive:
            shutil.rmtree(folder, ignore_errors=True)

    def locate(self, handle: str) -> Located:
        """Find a run by what its folder says."""
        process = _known(handle)
        return Located(
            run_id=id_of(handle), spec_uri=process.spec_uri, output_uri=process.output_uri, storage=process.storage
        )

    def full_handle(self, handle: str) -> str:
        """The handle with its key, for one that has none."""
        return handle_of(id_of(handle), _known(handle).spec_uri)

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """Whether each process lives."""
        return {handle: _status(folder_of(handle)) for handle in handles}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The lines that the process has written, and those that it will write."""
        folder = folder_of(handle)
        if not (folder / "log.jsonl").exists():
            raise RunNotFoundError(f"there is no local run {handle}")
        yield from _tail(folder, follow=follow)
        if _status(folder).phase is Phase.ENDED:
            yield from (folder / "stderr.log").read_bytes().splitlines()

    def cancel(self, handle: str) -> None:
        """SIGTERM to the process, if it is still the one that was started."""
        process = _known(handle)
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if process.alive:
                    (folder_of(handle) / _ASKED).touch()
                    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            finally:
                os.close(descriptor)


def _known(handle: str) -> Process:
    process = process_of(folder_of(handle))
    if process is None:
        raise RunNotFoundError(f"there is no local run {handle}")
    return process


def _begin(folder: Path, body: dict[str, Any]) -> None:
    """Start the process and note which it is: one that nobody could find again is ended."""
    process = _start(folder, body)
    try:
        write_process(folder, process)
    except OSError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _start(folder: Path, body: dict[str, Any]) -> Process:
    with (folder / "log.jsonl").open("ab") as log, (folder / "stderr.log").open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own runner; no shell
            body["command"],
            cwd=folder / "work",
            env=os.environ | body["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=errors,
            start_new_session=True,
        )
    process.returncode = 0  # whoever starts it does not wait for it: the object must not complain of that
    run = body["run"]
    return Process(
        pid=process.pid,
        started=processes.started_at(process.pid),
        boot=processes.host_identity(),
        spec_uri=run["spec_uri"],
        output_uri=run["output_uri"],
        storage=StorageOptions(**run["storage"]),
    )


def _status(folder: Path) -> Status:
    process = process_of(folder)
    if process is None:
        return Status(phase=Phase.GONE, words="no process was started")
    if process.alive:
        return Status(phase=Phase.RUNNING, words=f"process {process.pid}")
    words, asked = f"process {process.pid} has ended", (folder / _ASKED).exists()
    return Status(phase=Phase.ENDED, words=words, problems=_last_words(folder), cancelled=asked)


def _last_words(folder: Path) -> tuple[str, ...]:
    with suppress(OSError):
        return tuple((folder / "stderr.log").read_text(errors="replace").splitlines()[-3:])
    return ()


def _tail(folder: Path, *, follow: bool) -> Iterator[bytes | None]:
    rest = b""
    with (folder / "log.jsonl").open("rb") as file, _end_of(folder) as end:
        while True:
            ended = not follow or _status(folder).phase is not Phase.RUNNING  # looked at before the last read
            quiet = True
            while piece := file.read(PIECE_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                quiet = quiet and not lines
                yield from lines
            if ended:
                break
            if quiet:
                yield None
            end.poll(LOOK_SECONDS * 1000)
    if rest:
        yield rest


@contextmanager
def _end_of(folder: Path) -> Iterator[select.poll]:
    """What hears of the end of the run's process, so that nobody sleeps through it."""
    end, process = select.poll(), process_of(folder)
    with ExitStack() as held:
        if process is not None:
            with suppress(OSError):  # one that has ended before is seen to have
                descriptor = os.pidfd_open(process.pid)
                held.callback(os.close, descriptor)
                end.register(descriptor, select.POLLIN)
        yield end


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Of two submissions of one run at once, the second waits for the first."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
