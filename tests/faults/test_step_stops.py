"""A pipeline's step that gets SIGTERM and a second later SIGKILL, at moments from its start to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nbstep.steps import NotebookStep, notebook_step
from nbstep.steps.component import step_arguments
from support import notebooks

RUNNER = str(Path(sys.executable).with_name("nbstep-runner"))
MOMENTS = (0.2, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
CELL = "import time\nprint('at work', flush=True)\ntime.sleep(1)\nprint('done')"
GRACE = 1.0


def begin(step: NotebookStep, disk: Path) -> subprocess.Popen[bytes]:
    """The step as KFP's launcher starts it, in a process group that Argo signals."""
    places = {name: {"artifacts": [{"name": name, "uri": str(disk / name)}]} for name in ("notebook", "metrics")}
    message = json.dumps({"outputs": {"outputFile": str(disk / "output.json"), "artifacts": places}})
    command = [RUNNER, "kfp-step", "--executor-input", message, *step_arguments(step)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.fault(71)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_second_of_grace(tmp_path: Path, moment: float) -> None:
    path = notebooks.write(tmp_path / "work.ipynb", [CELL])
    step = notebook_step(path, runs=str(tmp_path / "runs"), html=False)
    with begin(step, tmp_path / "disk") as process:
        time.sleep(moment)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(GRACE)
            os.killpg(process.pid, signal.SIGKILL)
    for record in tmp_path.glob("runs/*/output.result.json"):
        left = json.loads(record.read_bytes())
        assert left["state"] in {"running", "cancelled", "succeeded"}
        if left["output_version"] is not None:
            assert json.loads(record.with_name("output.ipynb").read_bytes())["nbformat"] == 4
    with begin(step, tmp_path / "disk") as again:
        assert again.wait(120) == 0
    (record,) = tmp_path.glob("runs/*/output.result.json")
    settled = json.loads(record.read_bytes())
    assert (settled["state"], settled["exit_code"]) == ("succeeded", 0)
    assert settled["attempt"] in {1, 2}
    assert not record.with_name("output.partial.ipynb").exists()
