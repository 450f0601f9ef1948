"""A step's pod deleted, and its workflow terminated, at moments from before its start to after its end, on a real Argo.

``make argo`` runs it; ``NBSTEP_ARGO_MOMENTS`` sets the number of moments.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from servers.argo import Argo, settled

MOMENTS = [second * 1.5 for second in range(int(os.environ.get("NBSTEP_ARGO_MOMENTS", "12")))]
"""Seconds after the pod was made: it starts after some four, its cell after eight, and it ends after fourteen."""
CELL = "print('at work', flush=True)\nimport time\ntime.sleep(4)\nprint('done')"

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.fault(68)
@pytest.mark.fault(71)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pod_deleted_with_a_second_of_grace(
    argo: Argo, moment: float, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """As 2.17 is installed: tried again without being asked, if Argo sees the pod go before it sees a container end.

    Whatever Argo makes of it, there is one run, whose record is final or settled by whoever looks.
    """
    workflow = argo.submit(argo.step([CELL]), policy="OnError", retries=2)
    pod = workflow.until(workflow.pods)[0]
    time.sleep(moment)
    argo.api("delete", "pod", pod, "--grace-period=1", "--wait=false", check=False)
    phase = workflow.ended(300)
    state = settled(argo, monkeypatch)
    record_property("ended", f"{phase}, {state}, {len(workflow.attempts())} attempts")
    assert (phase, state) in {("Succeeded", "succeeded"), ("Failed", "cancelled"), ("Failed", "lost"), ("Failed", None)}


@pytest.mark.fault(71)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_workflow_terminated(
    argo: Argo, moment: float, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Whatever was reached: no record, a final one, or one that is settled by whoever looks."""
    workflow = argo.submit(argo.step([CELL]))
    workflow.until(workflow.pods)
    time.sleep(moment)
    argo.api("patch", "workflow", workflow.name, "--type=merge", "--patch", '{"spec":{"shutdown":"Terminate"}}')
    workflow.ended(300)
    state = settled(argo, monkeypatch)
    record_property("ended", state)
    assert state in {"succeeded", "cancelled", "lost", None}
