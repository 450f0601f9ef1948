"""Names that a run has in a cluster: of its objects, labels, annotations and folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from nbstep_runner.errors import UsageError

Object = Mapping[str, Any]
"""An object of the cluster, as its JSON."""

SCHEME: Final = "k8s"
CONTAINER: Final = "nbstep"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "nbstep"}
RUN_LABEL: Final = "nbstep/run-id"
RUN_ANNOTATION: Final = "nbstep/run"
"""JSON: where the run's objects lie, so that its string alone is enough to find it."""
CANCELLED_ANNOTATION: Final = "nbstep/cancelled"
START_ANNOTATION: Final = "nbstep/start-seconds"
"""How long a pod may take to start; read by whichever launcher looks at the run."""
NOT_STARTED_ANNOTATION: Final = "nbstep/not-started"
"""Why a launcher gave the run up."""
MIN_PARALLELISM_ANNOTATION: Final = "kueue.x-k8s.io/job-min-parallelism"
"""How many pods of a sweep Kueue may let go where its quota has no room for all."""
EXPIRED_ANNOTATION: Final = "nbstep/expired"
"""The run was admitted by its queue for as long as it may be."""
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"
QUEUE_SECONDS_LABEL: Final = "kueue.x-k8s.io/max-exec-time-seconds"
"""How long a run may be admitted, all its attempts together."""

WORK: Final = "/work"
SCRATCH: Final = "/tmp"  # noqa: S108 - the pod's own, an empty volume


@dataclass(frozen=True, slots=True)
class JobName:
    """A Job, and in string form the handle of its run: ``k8s://context/namespace/name``."""

    context: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{SCHEME}://{quote(self.context, safe='@:._-')}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, handle: str) -> JobName:
        """The Job that a handle names.

        Raises:
            UsageError: It is no such handle.
        """
        parts = handle.removeprefix(f"{SCHEME}://").split("/")
        if len(parts) != 3 or not all(parts):
            raise UsageError(f"{handle!r} is not the string of a run", hint="It is k8s://context/namespace/name.")
        return cls(unquote(parts[0]), parts[1], parts[2])

    @property
    def place(self) -> tuple[str, str]:
        """The context and the namespace: what one question to a cluster covers."""
        return self.context, self.namespace
