"""Records of runs, of which a test says no more than matters to it."""

from __future__ import annotations

from typing import Any

from nbstep_runner.contract import RunResult, RunState


def run_record(state: RunState = RunState.SUCCEEDED, **members: Any) -> RunResult:
    """The record of the first attempt of the run ``r``."""
    usual = {"run_id": "r", "attempt": 1, "spec_digest": "", "input_uri": "in.ipynb", "output_uri": "out.ipynb"}
    return RunResult(**{**usual, "state": state, **members})
