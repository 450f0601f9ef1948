"""Endpoints as processes of this machine, which outlive whoever started them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from nbstep.backends.local.backend import LocalBackend
from nbstep.backends.protocol import Phase, Plan, Status
from nbstep.endpoints.host import LOOPBACK, Host, await_end
from nbstep.endpoints.plan import Deployment
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner.contract import RunResult


class LocalHost(Host):
    """One process for each revision; nobody starts it again when it ends."""

    def __init__(self) -> None:
        self._backend = LocalBackend()

    def listens(self, profile: Profile, port: int) -> tuple[str, int]:
        del profile
        return LOOPBACK, port

    def plan(self, deployment: Deployment) -> Plan:
        spec = replace(deployment.submission.spec, run_id=f"{deployment.name}-{deployment.revision}")
        return self._backend.plan(replace(deployment.submission, spec=spec))

    def start(self, plan: Plan) -> None:
        if self.status(plan.handle, "").phase is Phase.ENDED:
            self._backend.forget(plan.handle)
        self._backend.submit(plan)

    def status(self, handle: str, revision: str) -> Status:
        """The process lives, or it does not."""
        del revision
        return self._backend.statuses([handle])[handle]

    def url(self, handle: str, record: RunResult | None) -> str:
        del handle
        return record.serving.url if record is not None and record.serving is not None else ""

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        return self._backend.logs(handle, follow=follow)

    def remove(self, handle: str) -> None:
        with suppress(RunNotFoundError):
            self._backend.cancel(handle)
        await_end(lambda: self.status(handle, "").phase is Phase.RUNNING, handle)
        self._backend.forget(handle)
