"""The end of a notebook's kernel: what it still prints belongs to the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbstep_runner.contract import Event, RunSpec, RunState
from nbstep_runner.engine.notebook_run import Tools, run_notebook
from nbstep_runner.errors import TerminatedError
from nbstep_runner.kernel.kernel import Received
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from nbstep_runner.supervisor import Supervisor
from support.notebooks import notebook


class Leaving:
    """A kernel that was never asked for a cell, and says something before its end."""

    def __init__(self, exit_status: int | None) -> None:
        spec = SimpleNamespace(name="python3", runs_python=False, name_in=lambda _: None)
        self.process = SimpleNamespace(spec=spec, exit_status=exit_status)
        self.asked = 0
        scrap = {"name": "last", "data": "words", "encoder": "json"}
        output = {"data": {"application/scrapbook.scrap.json+json": scrap}, "metadata": {}}
        self._says = [Received(iopub=(Message("update_display_data", "", output),)), Received(died=True)]

    def request_shutdown(self) -> None:
        self.asked += 1

    def wait(self, _: float) -> Received:
        return self._says.pop(0)


@pytest.mark.parametrize(("exit_status", "asked"), [(None, 1), (0, 0)], ids=["at its end", "gone already"])
@pytest.mark.parametrize("short_notice", [False, True])
def test_the_kernel_of_a_success_is_heard_to_its_end(
    tmp_path: Path, exit_status: int | None, asked: int, short_notice: bool
) -> None:
    """At short notice too, and when a stop comes behind the last cell."""
    kernel: Any = Leaving(exit_status)
    supervisor = Supervisor(60)
    supervisor.abort(TerminatedError("the run was stopped"))
    told: list[Event] = []
    memory: Any = None
    tools = Tools(
        emit=told.append,
        offer=lambda _: None,
        masker=Masker(()),
        supervisor=supervisor,
        memory=memory,
        scratch=tmp_path,
        log_name="the log",
    )
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb", short_notice=short_notice)
    _, execution = run_notebook(notebook([]), kernel, {}, spec, tools)
    supervisor.close()
    assert (execution.state, kernel.asked) == (RunState.SUCCEEDED, asked)
    assert execution.results == {"last": "words"}
