"""A run's record in the making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbstep_runner.contract import CellFinished, CellRecord, CellStarted, CellState, Progress, RunSpec, RunStarted
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.sinks.log import LogFormat

if TYPE_CHECKING:
    import pytest


def test_how_far_the_run_is_is_written_by_what_tells_of_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads tell sentences, and what one of them has read may be old when it writes it back."""
    written: list[Progress] = []
    plain = Ledger.__setattr__

    def noted(ledger: Ledger, name: str, value: Any) -> None:
        plain(ledger, name, value)
        if name == "progress" and value is not None:
            written.append(value)

    monkeypatch.setattr(Ledger, "__setattr__", noted)
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb")
    ledger = Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON))
    ledger.tell(RunStarted(run_id="r", attempt=1, input_uri="", output_uri="", kernel="python3", code_cells=2))
    ledger.tell(CellStarted(index=0, id="a", title="Train"))
    ledger.say("storage is asked again")
    ledger.tell(CellFinished(record=CellRecord(index=0, id="a", state=CellState.SUCCEEDED)))
    ledger.close()
    assert [(each.ended, each.title) for each in written] == [(0, ""), (0, "Train"), (1, "")]
