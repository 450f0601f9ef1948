"""What the processes of a sweep do together: two commands as two pods run them, on one folder."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nbstep_runner.contract import (
    ParameterSource,
    RunResult,
    RunSpec,
    RunState,
    StorageOptions,
    SweepSpec,
    decode,
    encode,
)
from servers import faultproxy
from servers.faultproxy import Kind
from servers.ports import free_port
from support.runs import RUNNER

SETS = 2
PARTS = 2
RETRIES = 2


def plan_of(notebook: str, folder: Path) -> SweepSpec:
    storage = StorageOptions(retry_seconds=0.2, allow_private_addresses=True)
    one = RunSpec(run_id="", input_uri=notebook, output_uri="", storage=storage)
    specs = (
        replace(
            one,
            run_id=f"run-{n}",
            output_uri=str(folder / f"n={n}/output.ipynb"),
            parameters=(ParameterSource.values({"n": n}),),
        )
        for n in range(SETS)
    )
    return SweepSpec(specs=tuple(specs), jobs=2, retries=RETRIES)


def parts(plan: Path) -> list[str]:
    """The logs of all parts, once each has ended with 0: a run that fails is no failure of whoever makes it."""
    started = [
        subprocess.Popen(
            [*RUNNER, "--sweep", str(plan), "--share", f"{index}/{PARTS}"], stdout=subprocess.PIPE, text=True
        )
        for index in range(PARTS)
    ]
    try:
        logs = [part.communicate(timeout=120)[0] for part in started]
        assert [part.returncode for part in started] == [0] * PARTS
        return logs
    finally:
        for part in started:
            part.kill()
            part.wait()


@pytest.mark.fault(61)
@pytest.mark.slow
def test_a_storage_that_stays_away_is_one_verdict_a_run_after_the_retries_of_all_together(tmp_path: Path) -> None:
    """What a run reads is away, what it writes to is not: each attempt leaves its record."""
    plan = tmp_path / "sweep/home/sweep.json"
    plan.parent.mkdir(parents=True)
    with faultproxy.running(free_port()) as proxy:
        proxy.add(Kind.STATUS, times=10**6)
        plan.write_bytes(encode(plan_of(f"{proxy.endpoint}/in.ipynb", plan.parents[1])))
        logs = parts(plan)
    ends = [name for log in logs for line in log.splitlines() if (name := _failed(line))]
    records = [decode(path.read_bytes(), RunResult) for path in plan.parents[1].glob("n=*/*.result.json")]
    assert [(record.state, record.exit_code) for record in records] == [(RunState.FAILED, 75)] * SETS
    assert [(record.attempt, record.failures) for record in records] == [(1 + RETRIES, 1 + RETRIES)] * SETS
    assert len(ends) == SETS * (1 + RETRIES)


def _failed(line: str) -> str:
    name, _, rest = json.loads(line)["message"].partition(": ")
    return name if rest.startswith("failed") else ""
