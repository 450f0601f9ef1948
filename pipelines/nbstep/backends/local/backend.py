"""Runs as processes of this machine that survive whoever started them.

What is known of a run lies in a folder of its own below ``$XDG_STATE_HOME/nbstep/local`` (``~/.local/state`` by
default): the working directory ``work``, the log as it streams, and ``process.json``, which says what process it is.
The run has no environment but the launcher's own and the profile's.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from nbstep.backends.arguments import arguments
from nbstep.backends.local.process import RUNNER
from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission, checked_run_id
from nbstep.backends.reach import Packages, Reach
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner import processes
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import OutputConflictError, UsageError

LOOK_SECONDS: Final = 0.05
SCHEME: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which process a run is: a pid means the same one only within one boot and namespace, and with the same start."""

    pid: int
    started: int
    boot: str
    spec_uri: str
    output_uri: str
    storage: StorageOptions

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        with suppress(ChildProcessError):  # reap it, if it is a child of ours that has ended
            os.waitpid(self.pid, os.WNOHANG)
        here = processes.host_identity().startswith(self.boot)
        return here and processes.runs(self.pid, self.started)


_ASKED: Final = "asked-to-end"
"""The file that says that somebody asked for the end: a runner that had not begun to listen left no record of it."""


class LocalBackend:
    """Starts ``nbstep-runner`` in a session of its own."""

    scheme: ClassVar[str] = SCHEME

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
        command = [*RUNNER, *arguments(spec, submission.spec_uri)]
        body = {
            "command": command,
            "environment": dict(profile.env),
            "folder": str(_folder(spec.run_id)),
            "run": {"spec_uri": submission.spec_uri, "output_uri": spec.output_uri, "storage": asdict(spec.storage)},
        }
        variables = "".join(f"{name}={shlex.quote(str(value))} " for name, value in profile.env.items())
        text = f"cd {shlex.quote(str(_folder(spec.run_id) / 'work'))}\n{variables}{shlex.join(command)}\n"
        return Plan(handle=f"{SCHEME}://{spec.run_id}", body=body, text=text)

    def submit(self, plan: Plan) -> None:
        """Start the process, unless it was started before.

        Raises:
            UsageError: This process belongs to a run, which leaves no process behind when it ends.
            OutputConflictError: A run of that id is under way below another folder of runs.
        """
        if processes.TOKEN_VARIABLE in os.environ:
            raise UsageError(
                "a local run cannot be submitted from a notebook that nbstep runs: it would end with that run",
                hint="Run it within the cell with `nbstep run`, or submit it to docker or Kubernetes.",
            )
        folder = Path(plan.body["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            earlier = _read(folder)
            if earlier is not None and earlier.spec_uri != plan.body["run"]["spec_uri"]:
                _make_room(folder, earlier, plan.handle)
                earlier = None
            (folder / "work").mkdir(exist_ok=True)
            if earlier is None:
                process = _start(folder, plan.body)
                temporary = folder / "process.json.new"
                temporary.write_bytes(msgspec.json.encode(process))
                temporary.replace(folder / "process.json")

    def forget(self, handle: str) -> None:
        """Remove what is known of a run that has ended, so that its id can be used again."""
        folder = _folder(_run_id(handle))
        process = _read(folder)
        if process is not None and not process.alive:
            shutil.rmtree(folder, ignore_errors=True)

    def locate(self, handle: str) -> Located:
        """Find a run by what its folder says."""
        process = _read(_folder(_run_id(handle)))
        if process is None:
            raise RunNotFoundError(f"there is no local run {handle}")
        return Located(
            run_id=_run_id(handle),
            spec_uri=process.spec_uri,
            output_uri=process.output_uri,
            storage=process.storage,
        )

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """Whether each process lives."""
        return {handle: _status(_folder(_run_id(handle))) for handle in handles}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes]:
        """The lines that the process has written, and those that it will write."""
        folder = _folder(_run_id(handle))
        if not (folder / "log.jsonl").exists():
            raise RunNotFoundError(f"there is no local run {handle}")
        yield from _tail(folder, follow=follow)
        if _status(folder).phase is Phase.ENDED:
            yield from (folder / "stderr.log").read_bytes().splitlines()

    def cancel(self, handle: str) -> None:
        """SIGTERM to the process, if it is still the one that was started."""
        process = _read(_folder(_run_id(handle)))
        if process is None:
            raise RunNotFoundError(f"there is no local run {handle}")
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if process.alive:
                    (_folder(_run_id(handle)) / _ASKED).touch()
                    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            finally:
                os.close(descriptor)


def _make_room(folder: Path, earlier: Process, handle: str) -> None:
    """Forget a run of the same id that belongs to other runs; it has ended, and its objects stay where they are."""
    if earlier.alive:
        raise OutputConflictError(
            f"the run {handle} is under way for {earlier.output_uri}",
            hint="Give this run another run_id, or wait for the other's end.",
        )
    for name in ("process.json", "log.jsonl", "stderr.log", _ASKED):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "work", ignore_errors=True)


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
    process = _read(folder)
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


def _tail(folder: Path, *, follow: bool) -> Iterator[bytes]:
    rest = b""
    with (folder / "log.jsonl").open("rb") as file:
        while True:
            ended = not follow or _status(folder).phase is not Phase.RUNNING  # looked at before the last read
            *lines, rest = (rest + file.read()).split(b"\n")
            yield from lines
            if ended:
                break
            time.sleep(LOOK_SECONDS)
    if rest:
        yield rest


def _read(folder: Path) -> Process | None:
    try:
        return msgspec.json.decode((folder / "process.json").read_bytes(), type=Process)
    except FileNotFoundError:
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Of two submissions of one run at once, the second waits for the first."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _folder(run_id: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "nbstep/local" / run_id


def _run_id(handle: str) -> str:
    return checked_run_id(handle.removeprefix(f"{SCHEME}://"))
