"""Runs as containers of a Docker or podman daemon, the one that ``DOCKER_HOST`` names or the usual one.

A container stays for a day after its end, for its log and its state; submitting removes older ones.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Final

import msgspec
import yaml

from nbstep.backends.docker.engine import Engine, engine
from nbstep.backends.docker.logs import lines
from nbstep.backends.docker.request import RUN_LABEL, container, request
from nbstep.backends.protocol import Attached, Located, Phase, Plan, Status, Submission, checked_run_id
from nbstep.backends.reach import Packages, Reach
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner.errors import OutOfMemoryError, OutputConflictError

SCHEME: Final = "docker"
GRACE_SECONDS: Final = 25.0
"""Of a run whose command line does not say."""
KEPT: Final = timedelta(days=1)
KILLED: Final = 137
"""What a container ends with whose first process was killed by SIGKILL: 128 and the signal's number."""
_PHASES: Final = {"created": Phase.PENDING, "exited": Phase.ENDED, "dead": Phase.ENDED}


class DockerBackend:
    """Starts a container for each run, with as few rights as a cluster would give it."""

    scheme: ClassVar[str] = SCHEME
    endpoints: ClassVar[str] = "nbstep.endpoints.docker:DockerHost"

    def reach(self, profile: Profile) -> Reach:
        """This machine's own files, as far as the request mounts them, and an image of its daemon."""
        return Reach.of_this_machine(profile, Packages.IMAGE)

    def plan(self, submission: Submission) -> Plan:
        """The request that creates the container, as the Engine's API takes it."""
        body = {"pull": submission.profile.docker.pull, "container": request(submission)}
        text = yaml.safe_dump(body["container"], sort_keys=False, width=1000)
        return Plan(handle=f"{SCHEME}://{submission.spec.run_id}", body=body, text=text)

    def sweep_workers(self, jobs: int | None) -> tuple[int, int | None]:
        """One container, which makes all runs of a sweep, ``jobs`` at once."""
        return 1, jobs

    def submit(self, plan: Plan) -> None:
        """Create and start the container. One of that name that belongs to the same run is that run."""
        daemon, container, name = engine(), plan.body["container"], _name(plan.handle)
        daemon.provide(container["Image"], pull=plan.body["pull"])
        _sweep(daemon)
        try:
            daemon.create(name, container)
        except OutputConflictError:
            found = daemon.inspect(name)
            if _labels(found).get(RUN_LABEL) != container["Labels"][RUN_LABEL]:
                raise
            if "--sweep" in container["Cmd"] and _PHASES.get(found["State"]["Status"]) is Phase.ENDED:
                daemon.remove(name)
                daemon.create(name, container)
        daemon.start(name)

    def check(self, plan: Plan) -> str:
        """Say that the daemon answers and has the image; it is pulled where it is missing.

        Raises:
            NbstepError: It does not, or the image cannot be had.
        """
        image = plan.body["container"]["Image"]
        engine().provide(image, pull=plan.body["pull"])
        return f"the daemon answers and has the image {image}"

    @contextmanager
    def attached(self, profile: Profile, arguments: Sequence[str], folders: Sequence[str]) -> Iterator[Attached]:
        """Give the image's runner a container that has this process's working directory; nothing of it stays.

        Args:
            profile: Its image and its limits.
            arguments: The runner's.
            folders: Of this machine, which are the container's too, at the same paths.

        Raises:
            NotStartedError: The image cannot be had.
        """
        here = str(Path.cwd())
        request = container(
            profile,
            arguments,
            writable=[here, *(str(Path(folder).absolute()) for folder in folders)],
            labels=profile.labels,
            grace=GRACE_SECONDS,
            folder=here,
        )
        daemon, name = engine(), f"nbstep-run-{secrets.token_hex(6)}"
        daemon.provide(request["Image"], pull=profile.docker.pull)
        try:
            daemon.create(name, request)
            yield _Watched(daemon, name)
        finally:
            daemon.remove(name)

    def locate(self, handle: str) -> Located:
        """Find a run by its container's labels."""
        labels = _labels(engine().inspect(_name(handle)))
        if RUN_LABEL not in labels:
            raise RunNotFoundError(f"the container of {handle} is not a run")
        return msgspec.json.decode(labels[RUN_LABEL], type=Located)

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """What the daemon says of each container."""
        daemon = engine()
        return {handle: status(daemon, _name(handle)) for handle in handles}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """What the container wrote: its log, and at its end what went to stderr."""
        return lines(engine(), _name(handle), follow=follow)

    def forget(self, handle: str) -> None:
        """Remove the container."""
        engine().remove(_name(handle))

    def cancel(self, handle: str) -> None:
        """SIGTERM; the runner saves what it has within its own grace period."""
        engine().signal(_name(handle), "SIGTERM")


class _Watched:
    """A container that lasts as long as it is watched."""

    def __init__(self, daemon: Engine, name: str) -> None:
        self._daemon = daemon
        self._name = name

    def lines(self) -> Iterator[bytes]:
        """Start it, and follow its log."""
        self._daemon.start(self._name)
        return (line for line in lines(self._daemon, self._name, follow=True) if line is not None)

    def send(self, number: int) -> None:
        """From a thread: the connection that is being read may be in the middle of anything."""
        Thread(target=self._daemon.signal, args=(self._name, signal.Signals(number).name)).start()

    def status(self) -> Status:
        """How the container stands."""
        return status(self._daemon, self._name)


def status(daemon: Engine, name: str) -> Status:
    """How a container stands; an end that the runner could not tell of is told here."""
    try:
        found = daemon.inspect(name)
    except RunNotFoundError:
        return Status(phase=Phase.GONE, words=f"the container {name} is gone", reference="lost")
    state = found["State"]
    phase = _PHASES.get(state["Status"], Phase.RUNNING)
    if phase is not Phase.ENDED:
        return Status(phase=phase, words=f"container {name} is {state['Status']}")
    code, problems = state["ExitCode"], tuple(filter(None, [state.get("Error")]))
    if code == KILLED and state["OOMKilled"]:
        limit = found["HostConfig"].get("Memory")
        words = "the container was killed for memory" + (f" (limit {limit / 2**20:,.0f} MiB)" if limit else "")
        return Status(phase=phase, exit_code=code, words=words, problems=problems, reference=OutOfMemoryError.reference)
    words = "the container was killed" if code == KILLED else f"the container ended with exit code {code}"
    return Status(phase=phase, exit_code=code, words=words, problems=problems)


def _labels(found: dict[str, Any]) -> dict[str, str]:
    """Of a container as the daemon describes it; of one that has none it may say ``null``."""
    return found["Config"].get("Labels") or {}


def _sweep(daemon: Engine) -> None:
    """Remove the containers of runs that ended long ago."""
    for name in daemon.ended(RUN_LABEL):
        with suppress(RunNotFoundError):  # another process sweeps too
            ended = daemon.inspect(name)["State"]["FinishedAt"]
            if datetime.now(UTC) - datetime.fromisoformat(f"{ended[:19]}+00:00") > KEPT:
                daemon.remove(name)


def _name(handle: str) -> str:
    return f"nbstep-{checked_run_id(handle.removeprefix(f'{SCHEME}://'))}"
