"""What a stop at short notice leaves out of a run's end, and what it does not."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbstep_runner.contract import RunSpec
from nbstep_runner.engine import notebook_run
from nbstep_runner.errors import TerminatedError
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.session.run import Run, RunTools
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.supervisor import Supervisor


@pytest.mark.parametrize(("error", "ended"), [(None, ["kernel", "checkpoints"]), (object(), ["checkpoints at once"])])
def test_a_stop_behind_the_last_cell_of_a_success_cuts_nothing_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: object, ended: list[str]
) -> None:
    done: list[str] = []
    execution = SimpleNamespace(error=error)
    monkeypatch.setattr(notebook_run, "run_notebook", lambda *_: (None, execution))
    kernels: Any = SimpleNamespace(memory=None, close=lambda: done.append("kernel"))
    checkpoints: Any = SimpleNamespace(
        close=lambda seconds: done.append("checkpoints" if seconds else "checkpoints at once"), warnings=()
    )
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="memory://runs/out.ipynb", short_notice=True)
    settings = LogSettings(stream=None, format=LogFormat.JSON)
    supervisor, ledger = Supervisor(60), Ledger(spec, None, settings)
    supervisor.abort(TerminatedError("the run was stopped"))
    tools = RunTools(supervisor=supervisor, kernels=kernels, log=settings, notebook_stream=io.BytesIO())
    scratch: Any = SimpleNamespace(folder=tmp_path)
    ready: Any = SimpleNamespace(kernel=None, info={})
    Run(spec, tools, scratch, ledger)._execute({}, ready, checkpoints)
    ledger.close()
    supervisor.close()
    assert done == ended
