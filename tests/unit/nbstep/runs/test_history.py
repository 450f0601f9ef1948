"""Runs are listed from their records, newest first."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import nbstep
from nbstep.backends.records import blank_record
from nbstep.runs.history import AT_ONCE
from nbstep_runner.contract import RunSpec, RunState, encode


def test_the_limit_is_of_those_in_the_state(tmp_path: Path) -> None:
    count = 3 * AT_ONCE
    for number in range(count):
        spec = RunSpec(run_id=f"r{number}", input_uri="in.ipynb", output_uri="output.ipynb")
        state = RunState.SUCCEEDED if number % 10 else RunState.FAILED
        file = tmp_path / spec.run_id / "output.result.json"
        file.parent.mkdir()
        file.write_bytes(encode(replace(blank_record(spec), state=state)))
        os.utime(file, (number, number))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/output.result.json").write_text("{")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/spec.json").write_bytes(encode(RunSpec(run_id="begun", input_uri="i", output_uri="o")))

    def listed(**options: object) -> list[str]:
        return [record.run_id for record in nbstep.history(str(tmp_path), **options)]  # type: ignore[arg-type]  # options of several types

    assert listed(limit=2) == ["begun", f"r{count - 1}"]
    assert listed(state="failed") == ["r40", "r30", "r20", "r10", "r0"]
    assert listed(state="failed", limit=2) == ["r40", "r30"]
    assert listed(state="pending") == ["begun"]
    assert len(listed()) == count + 1
