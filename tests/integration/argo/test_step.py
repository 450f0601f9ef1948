"""A step in a workflow of KFP's shape on a real Argo: what Kubernetes, Argo and their retries and stops do to it."""

from __future__ import annotations

import json
import random

import pytest

from nbstep import Endpoint, find
from servers.argo import Argo, settled
from support import notebooks

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(400)]
WORK = "from nbstep_runner import result\nimport time, os\n"


@pytest.mark.fault(69)
def test_odd_texts_arrive(argo: Argo) -> None:
    """As a constant, a fixed value and the notebook's own default; ``{{name}}`` is no variable of Argo's."""
    odd = ['it\'s "quoted" \\ $HOME $(ls) %s {a} }}', "a\nb\r\n\t", "é 漢字 🎉", "Dear {{name}}", "--force"]
    replaced = ["{{workflow.name}}", "$$ $(KFP_POD_NAME)", "{{$}}", "{{=1+1}}"]
    cell = f"given: list = []\nfixed: list = []\ndefault: str = {'run {{workflow.name}} costs $$'!r}"
    cells = [notebooks.Code(cell, ("parameters",)), WORK + "result('all', [given, fixed, default])"]
    step = argo.step(cells, values={"fixed": replaced})
    with pytest.warns(UserWarning, match="beyond U\\+FFFF"):
        values = step(given=odd).constants
    assert argo.submit(step, values).ended() == "Succeeded"
    (record,) = argo.records()
    assert record["results"]["all"] == [odd, replaced, "run {{workflow.name}} costs $$"]


@pytest.mark.fault(70)
def test_a_step_near_the_limit_of_sizes_runs(argo: Argo) -> None:
    noise = "# " + random.Random(1).randbytes(61_000).hex()  # noqa: S311 - text that does not compress
    step = argo.step([notebooks.Code("x: int = 1", ("parameters",)), noise], runs=None)
    with pytest.warns(UserWarning, match="kB that Argo can store"):
        workflow = argo.submit(step)
    assert workflow.ended() == "Succeeded"
    assert 700_000 < len(json.dumps(workflow.get(), separators=(",", ":"))) < 2**20


@pytest.mark.fault(68)
def test_every_retry_of_a_failed_notebook_is_one_run_and_runs_no_cell_again(argo: Argo) -> None:
    step = argo.step(["print('tried')\nraise ValueError('the cell is wrong')"])
    workflow = argo.submit(step, policy="OnFailure", retries=2)
    assert workflow.ended() == "Failed"
    attempts = workflow.attempts()
    assert len(attempts) == 3
    for attempt in attempts:
        told = attempt["message"].partition("): ")[2]
        assert json.loads(told)["message"].startswith("failed: cell 0 raised ValueError: the cell is wrong; see s3://")
    (record,) = argo.records()
    assert (record["state"], record["attempt"], record["exit_code"]) == ("failed", 1, 10)
    assert record["environment"]["namespace"] == argo.api.namespace
    last = workflow.log(workflow.pods()[-1])
    assert "its record answers" in last


@pytest.mark.fault(68)
def test_a_failed_notebook_is_not_tried_again_under_the_policy_that_2_17_installs(argo: Argo) -> None:
    """Whatever ``set_retry`` says; ``retries`` of the step leave a cell that raised alone, too."""
    step = argo.step(["print('tried')\nraise ValueError('the cell is wrong')"], retries=2)
    workflow = argo.submit(step, policy="OnError", retries=2)
    assert workflow.ended() == "Failed"
    assert len(workflow.attempts()) == 1
    (record,) = argo.records()
    assert (record["state"], record["attempt"], record["exit_code"]) == ("failed", 1, 10)


@pytest.mark.fault(68)
@pytest.mark.fault(71)
def test_a_pod_deleted_in_mid_cell_with_a_second_of_grace_is_retried_as_the_same_run(
    argo: Argo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argo starts it again under the next index, or makes the pod of the same index anew: both are attempt 2."""
    workflow = argo.submit(
        argo.step([WORK + "print('at work', flush=True)\ntime.sleep(20)"]), policy="OnError", retries=2
    )
    pod = workflow.until(workflow.pods)[0]
    workflow.until(lambda: "at work" in workflow.log(pod))
    argo.api("delete", "pod", pod, "--grace-period=1", "--wait=false")
    ended, state = workflow.ended(), settled(argo, monkeypatch)
    if ended == "Failed":  # Argo saw a container end before it saw the pod go: OnError repeats no failure
        assert state in {"cancelled", "lost"}
        return
    (record,) = argo.records()
    assert (ended, record["state"], record["attempt"]) == ("Succeeded", "succeeded", 2)
    assert record["environment"]["pod"] == workflow.pods()[-1]


@pytest.mark.fault(71)
def test_a_workflow_that_is_terminated_is_cancelled_or_settled_by_whoever_looks(
    argo: Argo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argo signals launcher and runner at once; the container ends with the launcher: a record can come too late."""
    workflow = argo.submit(argo.step([WORK + "print('at work', flush=True)\ntime.sleep(600)"]))
    pod = workflow.until(workflow.pods)[0]
    workflow.until(lambda: "at work" in workflow.log(pod))
    argo.api("patch", "workflow", workflow.name, "--type=merge", "--patch", '{"spec":{"shutdown":"Terminate"}}')
    assert workflow.ended() == "Failed"
    workflow.until(lambda: argo.api.get("pod", pod)["status"]["phase"] in {"Failed", "Succeeded"})
    assert settled(argo, monkeypatch) in {"cancelled", "lost"}


def test_a_step_starts_an_endpoint_and_hands_its_url_on(argo: Argo, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = "from nbstep_runner import serve\n\n@serve\ndef double(x: float) -> float:\n    return factor * x"
    step, profile = argo.endpoint_step("doubled", [notebooks.Code("factor: float = 1.0", ("parameters",)), serving])
    workflow = argo.submit(step, {"factor": 2.0})
    assert workflow.ended() == "Succeeded", workflow.seen()
    assert f"serving at http://doubled.{argo.api.namespace}.svc" in workflow.log(workflow.pods()[-1])
    for name, value in argo.bucket.server.environment(argo.bucket.endpoint).items():
        monkeypatch.setenv(name, value)
    endpoint = find("doubled", runs=argo.runs, profile=profile)
    assert isinstance(endpoint, Endpoint)
    assert endpoint.predict(x=4.5) == 9.0
    endpoint.delete()
