"""Runs that exist in this process only, for tests of what submits, follows and waits for runs.

No notebook is executed. A test says how a run goes; until then it is pending, like one whose place is slow::

    run = nbstep.submit("train.ipynb", on="memory", runs="memory://runs")
    memory = run.backend
    memory.begin(run.handle)
    memory.log(run.handle, "epoch 1")
    memory.end(run.handle, results={"rmse": 0.29})
    assert run.wait().results == {"rmse": 0.29}

What a runner would leave in storage is left there, so a run is found, followed and judged as any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Condition
from typing import Any, ClassVar, Final

import msgspec

from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission
from nbstep.backends.reach import Packages, Reach
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep.profiles.storage import store_of
from nbstep_runner.contract import RECORD_ENDING, ErrorInfo, RunResult, RunSpec, RunState, encode
from nbstep_runner.errors import ExitCode, NbstepError, TerminatedError
from nbstep_runner.stores import redact, sibling

QUIET_SECONDS: Final = 0.5
PENDING: Final = Status(phase=Phase.PENDING, words="nothing has begun the run")


@dataclass(slots=True)
class _Run:
    submission: Submission
    status: Status
    lines: list[bytes] = field(default_factory=list)


class MemoryBackend:
    """Takes runs and lets a test decide how each goes. Safe to use from several threads."""

    scheme: ClassVar[str] = "memory"

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._changed = Condition()

    def reach(self, profile: Profile) -> Reach:
        """What this process reaches."""
        return Reach.of_this_machine(profile, Packages.INSTALLED)

    def plan(self, submission: Submission) -> Plan:
        """The submission itself."""
        text = encode(submission.spec, indent=1).decode() + "\n"
        return Plan(handle=f"{self.scheme}://{submission.spec.run_id}", body=submission, text=text)

    def submit(self, plan: Plan) -> None:
        """Take the run; the same one twice is one run."""
        with self._changed:
            self._runs.setdefault(plan.handle, _Run(plan.body, PENDING))

    def locate(self, handle: str) -> Located:
        """Find a run that was submitted in this process."""
        submission = self._run(handle).submission
        return Located(
            run_id=submission.spec.run_id,
            spec_uri=submission.spec_uri,
            output_uri=submission.spec.output_uri,
            storage=submission.spec.storage,
        )

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """What the test said last of each run."""
        gone = Status(phase=Phase.GONE, words="this process knows no such run")
        return {handle: run.status if (run := self._runs.get(handle)) else gone for handle in handles}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The lines that the test logged, each as soon as it is there."""
        run, shown = self._run(handle), 0
        while True:
            with self._changed:
                if follow and shown == len(run.lines) and not _over(run):
                    self._changed.wait(QUIET_SECONDS)
                lines, over = run.lines[shown:], not follow or _over(run)
            yield from lines
            if not lines and not over:
                yield None
            shown += len(lines)
            if over:
                return

    def cancel(self, handle: str) -> None:
        """End the run as one that saved what it had; one that has ended stays as it is."""
        if not _over(self._run(handle)):
            self.end(handle, error=TerminatedError("asked to end by SIGTERM"), state=RunState.CANCELLED)

    def spec(self, handle: str) -> RunSpec:
        """What was asked for."""
        return self._run(handle).submission.spec

    def begin(self, handle: str) -> None:
        """Let the run be under way."""
        self._say(handle, Status(phase=Phase.RUNNING, words="running in this process"))

    def log(self, handle: str, message: str, **members: Any) -> None:
        """Write a line to the run's log.

        Args:
            handle: The run's.
            message: What it says.
            members: The line's further members, such as ``event="run-finished"``.
        """
        run = self._run(handle)
        with self._changed:
            line = {"message": message, "attempt": 1, "seq": len(run.lines) + 1, **members}
            run.lines.append(msgspec.json.encode(line))
            self._changed.notify_all()

    def end(
        self,
        handle: str,
        *,
        results: Mapping[str, Any] | None = None,
        error: NbstepError | None = None,
        state: RunState | None = None,
    ) -> None:
        """Let the run end with a record, as a runner writes it.

        Args:
            handle: The run's.
            results: What the notebook reported.
            error: Why it failed.
            state: How it ended; succeeded or failed, after ``error``, if ``None``.
        """
        code = ExitCode.SUCCEEDED if error is None else error.exit_code
        record = replace(
            RunResult.blank(self.spec(handle), redact),
            state=state or (RunState.SUCCEEDED if error is None else RunState.FAILED),
            exit_code=int(code),
            ended_at=datetime.now(UTC).isoformat(),
            results=dict(results or {}),
            error=None if error is None else ErrorInfo.of(error),
        )
        uri = sibling(record.output_uri, RECORD_ENDING)
        store_of(uri, self.spec(handle).storage).write(uri, encode(record, indent=1))
        self._say(handle, Status(phase=Phase.ENDED, exit_code=int(code), words=f"ended with exit code {int(code)}"))

    def vanish(self, handle: str, words: str = "the process vanished") -> None:
        """Let the run end without a record, as one whose machine was lost."""
        self._say(handle, Status(phase=Phase.ENDED, words=words))

    def forget(self, handle: str) -> None:
        """Know nothing of the run any more, as a cluster that has removed its Job."""
        with self._changed:
            self._runs.pop(handle).status = Status(phase=Phase.GONE)
            self._changed.notify_all()

    def _run(self, handle: str) -> _Run:
        run = self._runs.get(handle)
        if run is None:
            raise RunNotFoundError(f"there is no run {handle} in this process")
        return run

    def _say(self, handle: str, status: Status) -> None:
        run = self._run(handle)
        with self._changed:
            run.status = status
            self._changed.notify_all()


def _over(run: _Run) -> bool:
    return run.status.phase in (Phase.ENDED, Phase.GONE)
