"""A run's state, whatever the store below it does."""

from __future__ import annotations

from pathlib import Path

from nbstep_runner.contract import RunSpec
from nbstep_runner.session.kept_state import KeptState
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.state import VARIABLE
from nbstep_runner.state.generations import KEPT
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.supervisor import Supervisor
from nbstep_runner.testing import Fault, FaultyStore


def test_what_cannot_be_removed_keeps_no_state_from_being_saved_and_no_run_from_its_end() -> None:
    store = FaultyStore(
        MemoryStore(MemorySpace()),
        [Fault(operation="delete", error=RuntimeError("can't start new thread"), times=None)],
    )
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="memory://runs/out.ipynb", state=True)
    ledger, supervisor = Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON)), Supervisor(2.0)
    state = KeptState(spec, "token", lambda _: store, supervisor, ledger, lambda: None)
    state.restore("content", None)
    for number in range(KEPT + 1):
        Path(state.variables[VARIABLE], f"{number}").write_text("saved")
        state.finish(at_once=False)
    state.close()
    ledger.close()
    supervisor.close()
    assert "delete" in {call.operation for call in store.calls}
    assert (ledger.result.state_generation, ledger.result.warnings) == (KEPT + 1, ())
