"""Endpoints as containers of a Docker daemon, which starts them again whatever their end, and after its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import yaml

from nbstep.backends.docker.backend import status
from nbstep.backends.docker.engine import engine
from nbstep.backends.docker.logs import lines
from nbstep.backends.docker.request import request
from nbstep.backends.protocol import Phase, Plan, Status
from nbstep.endpoints.host import IN_CONTAINER, LOOPBACK, Host, ask_url, begun_before
from nbstep.endpoints.plan import ENDPOINT_LABEL, REVISION_LABEL, Deployment
from nbstep.errors import EndpointUnavailableError, RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner.contract import RunResult
from nbstep_runner.errors import OutputConflictError, UsageError

SCHEME: Final = "docker://"
PORT: Final = f"{IN_CONTAINER[1]}/tcp"


class DockerHost(Host):
    """One container for each revision."""

    def listens(self, profile: Profile, port: int) -> tuple[str, int]:
        """In the machine's own network it listens as a process of the machine does."""
        return (LOOPBACK, port) if profile.docker.network == "host" else IN_CONTAINER

    def plan(self, deployment: Deployment) -> Plan:
        body = {"pull": deployment.submission.profile.docker.pull, "container": container(deployment)}
        text = yaml.safe_dump(body["container"], sort_keys=False, width=1000)
        return Plan(handle=f"{SCHEME}endpoint-{deployment.name}-{deployment.revision}", body=body, text=text)

    def start(self, plan: Plan) -> None:
        """A container that has ended, or does not come up again, is made anew."""
        daemon, name, wanted = engine(), _name(plan.handle), plan.body["container"]
        daemon.provide(wanted["Image"], pull=plan.body["pull"])
        with suppress(RunNotFoundError):
            if _given_up(daemon.inspect(name)):
                daemon.remove(name)
        with suppress(OutputConflictError):  # the name holds the revision: it is this very container
            daemon.create(name, wanted)
        daemon.start(name)

    def status(self, handle: str, revision: str) -> Status:
        """Whether another start can only fail again is told by the record of the last one."""
        del revision
        daemon, name = engine(), _name(handle)
        seen = status(daemon, name)
        if seen.phase in (Phase.ENDED, Phase.GONE):
            return seen
        return replace(seen, since=daemon.inspect(name)["Created"])

    def url(self, handle: str, record: RunResult | None) -> str:
        """Where this machine reaches the start that runs now."""
        try:
            found = engine().inspect(_name(handle))
        except RunNotFoundError:
            return ""
        if record is None or record.serving is None or not found["State"]["Running"]:
            return ""
        if begun_before(record, found["State"]["StartedAt"]):
            return ""  # of a start that was killed
        if found["HostConfig"]["NetworkMode"] == "host":
            return record.serving.url
        return _published(found)

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The daemon keeps the lines of earlier starts in the same log."""
        return lines(engine(), _name(handle), follow=follow)

    def remove(self, handle: str) -> None:
        daemon, name = engine(), _name(handle)
        with suppress(RunNotFoundError):
            daemon.stop(name, daemon.inspect(name)["Config"]["StopTimeout"])
        daemon.remove(name)


def container(deployment: Deployment) -> dict[str, Any]:
    """The container of a run, which starts again whatever its end, and has a port on this machine alone.

    Raises:
        UsageError: Nothing could ask it, or the profile names something that a container cannot have.
    """
    submission, network = deployment.submission, deployment.submission.profile.docker.network
    if network == "none":
        raise UsageError(
            "a container without a network cannot be asked",
            hint="Leave `docker.network` out, or name the network that it is to be in.",
        )
    made = request(submission)
    labels = {**submission.profile.labels, ENDPOINT_LABEL: deployment.name, REVISION_LABEL: deployment.revision}
    host = made["HostConfig"] | {"RestartPolicy": {"Name": "unless-stopped"}}
    if network == "host":
        return made | {"Labels": labels, "HostConfig": host}
    outside = {"HostIp": LOOPBACK, "HostPort": str(deployment.exposure.port or "")}
    return made | {
        "Labels": labels,
        "ExposedPorts": {PORT: {}},
        "HostConfig": host | {"PortBindings": {PORT: [outside]}},
    }


def _given_up(found: dict[str, Any]) -> bool:
    """Whether a container has ended, or has done so before and does not answer now."""
    if found["State"]["Status"] in {"exited", "dead", "restarting"}:
        return True
    url = _published(found)
    if not found["RestartCount"] or not url:
        return False
    try:
        ask_url(f"{url}/v2/health/live", None)
    except EndpointUnavailableError:
        return True
    return False


def _published(found: dict[str, Any]) -> str:
    """Where the container's port is on this machine; empty where the daemon has given it none."""
    given = (found["NetworkSettings"]["Ports"] or {}).get(PORT) or [{}]
    port = given[0].get("HostPort")
    return f"http://{LOOPBACK}:{port}" if port else ""


def _name(handle: str) -> str:
    return f"nbstep-{handle.removeprefix(SCHEME)}"
