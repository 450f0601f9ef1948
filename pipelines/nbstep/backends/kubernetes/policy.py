"""When a Job starts a run again: the table of exit codes as a pod failure policy."""

from __future__ import annotations

from typing import Any, Final

from nbstep.backends.kubernetes.names import CONTAINER
from nbstep_runner.errors import NbstepError, Retry, TerminatedError


def permanent_codes() -> list[int]:
    """The exit codes of failures that no retry can mend."""
    return sorted({int(kind.exit_code) for kind in NbstepError.__subclasses__() if _ours(kind) and _permanent(kind)})


def _ours(kind: type[NbstepError]) -> bool:
    """The runner's own errors: what a launcher calls an error never ends a container."""
    return kind.__module__ == NbstepError.__module__


def _permanent(kind: type[NbstepError]) -> bool:
    return kind.retry is Retry.NEVER


def _failure_policy(permanent: str, *, terminated: str | None = None) -> dict[str, Any]:
    codes = {"containerName": CONTAINER, "operator": "In", "values": permanent_codes()}
    return {
        "rules": [
            # A node that is drained or preempted is no failure of the run: it does not count.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": permanent, "onExitCodes": codes},
            *(
                [{"action": terminated, "onExitCodes": codes | {"values": [int(TerminatedError.exit_code)]}}]
                if terminated
                else []
            ),
        ]
    }


FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailJob")
STATE_FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailJob", terminated="Ignore")
"""A run that keeps its state goes on after any SIGTERM, whoever sent it: that costs little, and no retry."""
SWEEP_FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailIndex")
"""A pod of a sweep whose runs fail has not failed; one that cannot take part is not started again, and others go on."""
