"""The state of runs that something else starts: the sets of a sweep, the steps of a chain."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbstep
from support import notebooks

pytestmark = pytest.mark.slow
DIES_AT_FIRST = """
import os
from nbstep_runner import result, state
result("begun", (state.folder / "n").read_text() if state.restored else "")
(state.folder / "n").write_text(str(n))
if not state.restored:
    os._exit(3)
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells: list[notebooks.Cell] = [notebooks.Code("n: int = 1", tags=("parameters",)), DIES_AT_FIRST]
    return notebooks.write(tmp_path / "train.ipynb", cells)


def test_a_second_sweep_goes_on_from_the_state_of_each_set_that_died(notebook: Path, tmp_path: Path) -> None:
    first, second = (
        nbstep.sweep(notebook, output=tmp_path / "runs", grid={"n": [1, 2]}, state=True, check=False) for _ in range(2)
    )
    assert [run.result and run.result.exit_code for run in first.runs] == [12, 12]
    assert [run.result and run.result.results for run in second.runs] == [{"begun": "1"}, {"begun": "2"}]


def test_the_next_attempt_of_a_step_goes_on_from_its_state(notebook: Path, tmp_path: Path) -> None:
    step = nbstep.notebook_step(notebook, results={"begun": str}, state=True, retries=1, html=False)
    done = nbstep.chain([step(n=7)], tmp_path / "chain", quiet=True)["train"]
    assert done.outputs["begun"] == "7"
    assert done.record.attempt == 2
    assert done.record.continued_from is not None
