"""Runs that nobody submitted from here, such as those of ``nbstep run``: all that is known lies beside the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission
from nbstep_runner.errors import UsageError

KNOWN: Final = Status(phase=Phase.GONE, words="known by its record alone")
"""Nothing can be asked about its process: a record without a heartbeat for long enough is that of a lost run."""


class RecordedBackend:
    """A place that knows nothing of its runs: their records say how they stand. A run's handle is its output's URI."""

    scheme: ClassVar[str] = "recorded"

    def plan(self, submission: Submission) -> Plan:
        """Refuse: nothing is started here."""
        raise UsageError(
            f"the run {submission.spec.run_id} cannot be started on records alone", hint="Name a backend with on=."
        )

    def submit(self, plan: Plan) -> None:
        """Refuse, as :meth:`plan` does."""
        raise UsageError(f"the run {plan.handle} cannot be started on records alone", hint="Name a backend with on=.")

    def locate(self, handle: str) -> Located:
        """The run whose output that is."""
        return Located(run_id=handle, spec_uri="", output_uri=handle)

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """The same of each: ask its record."""
        return dict.fromkeys(handles, KNOWN)

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes]:  # noqa: ARG002 - the protocol's
        """No line: the log is stored when the run has ended."""
        return iter(())

    def cancel(self, handle: str) -> None:
        """Refuse: its process cannot be reached from here."""
        raise UsageError(
            f"the run of {handle} was not submitted, so it cannot be cancelled from here",
            hint="End its process where it runs: SIGTERM lets it save what it has.",
        )
