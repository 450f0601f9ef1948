"""How a step starts the runner, whatever its options and its environment say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from nbstep_runner.contract import StepSpec, StorageOptions
from nbstep_runner.kfp_adapter.command import RunnerCommand, Step, StepOptions
from nbstep_runner.kfp_adapter.executor_input import read_executor_input


@pytest.mark.fault(71)
@pytest.mark.parametrize(("told", "interval"), [(30.0, "10"), (5.0, "5"), (0.0, "0")])
def test_a_step_is_ready_to_be_stopped_at_any_moment(tmp_path: Path, told: float, interval: str) -> None:
    (tmp_path / "work.ipynb").write_bytes(b"{}")
    digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    spec = StepSpec(name="work", digest=digest, source=str(tmp_path / "work.ipynb"))
    message = read_executor_input(json.dumps({"outputs": {"outputFile": str(tmp_path / "disk/output.json")}}))
    options = StepOptions(StorageOptions(), checkpoint_seconds=told, run_seconds=None, grace_seconds=25)
    started: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        started.append(arguments)
        return 143

    assert Step(spec, message, RunnerCommand(run, lambda _: options), ("--kernel", "x")).execute(None) == 143
    (arguments,) = started
    assert arguments[arguments.index("--autosave-cell-every") + 1] == interval
    assert arguments[arguments.index("--attempt") + 1] == "next"
    assert "--short-notice" in arguments
    assert arguments[-2:] == ["--kernel", "x"]
