"""Records that are written on this side, for runs that could not write their own."""

from __future__ import annotations

from nbstep_runner.contract import RunResult, RunSpec, RunState
from nbstep_runner.stores import redact


def blank_record(spec: RunSpec) -> RunResult:
    """The record of a run that has not begun: what was asked for; its URIs hold no credentials."""
    return RunResult(
        run_id=spec.run_id,
        attempt=spec.attempt,
        spec_digest="",
        state=RunState.PENDING,
        input_uri=redact(spec.input_uri),
        output_uri=redact(spec.output_uri),
        labels=spec.labels,
    )
