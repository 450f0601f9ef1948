"""Of two runs of one output one wins; a retry knows what has already been done."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import processes
from support.notebooks import write
from support.runs import run, start

WAIT = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
COUNT = "import os, time\nos.write(os.open({path!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), b'x')"


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A notebook that leaves a mark each time that it is run."""
    return write(tmp_path / "in.ipynb", [COUNT.format(path=str(tmp_path / "times"))])


@pytest.mark.slow
@pytest.mark.fault(24)
def test_a_second_run_of_the_same_output_is_turned_away(tmp_path: Path) -> None:
    with start(tmp_path, [WAIT]) as first:
        first.wait_for("begun")
        second = run(tmp_path, tmp_path / "in.ipynb", check=False)
        claimed = json.loads((tmp_path / "out.result.json").read_text())
        done = first.signal(signal.SIGTERM).finish(30)
    assert second.code == 73
    assert f"the run {claimed['run_id']} (attempt 1) holds this output" in second.stdout
    assert claimed["state"] == "running"
    assert (done.code, done.states) == (143, ["interrupted"])


@pytest.mark.slow
@pytest.mark.fault(24)
def test_of_two_that_start_together_one_commits(tmp_path: Path, counting: Path) -> None:
    runners = [start(tmp_path, counting) for _ in range(2)]
    try:
        codes = sorted(each.finish(30, check=False).code for each in runners)
    finally:
        for each in runners:
            each.stop()
    assert codes in ([0, 0], [0, 73])
    assert json.loads((tmp_path / "out.result.json").read_text())["state"] == "succeeded"
    assert (tmp_path / "times").read_text() == "x" * codes.count(0)


@pytest.mark.slow
@pytest.mark.fault(12)
@pytest.mark.fault(24)
def test_the_attempt_after_one_that_was_killed_takes_over_at_once(tmp_path: Path) -> None:
    with start(tmp_path, [WAIT], "--run-id", "work") as first:
        first.wait_for("begun").signal(signal.SIGKILL).finish(30)
    began = time.monotonic()
    second = run(tmp_path, ["print('done')"], "--run-id", "work", "--attempt", "2")
    assert (second.code, second.record["attempt"]) == (0, 2)
    assert time.monotonic() - began < 25, "it waited for the lease of 30 s"


@pytest.mark.slow
@pytest.mark.fault(24)
def test_a_final_record_answers_a_retry(tmp_path: Path, counting: Path) -> None:
    first = run(tmp_path, counting, "--run-id", "work")
    notebook = first.output.read_bytes()
    retry = run(tmp_path, counting, "--run-id", "work", "--attempt", "2")
    assert (first.code, retry.code) == (0, 0)
    assert "this run has already ended: succeeded; its record answers, no cell is run" in retry.stdout
    assert (tmp_path / "times").read_text() == "x"
    assert retry.output.read_bytes() == notebook
    assert retry.record["attempt"] == 1

    forced = run(tmp_path, counting, "--run-id", "work", "--attempt", "3", "--force")
    assert (forced.code, forced.record["attempt"]) == (0, 3)
    assert (tmp_path / "times").read_text() == "xx"


@pytest.mark.slow
def test_a_record_whose_notebook_was_removed_answers_nothing(tmp_path: Path, counting: Path) -> None:
    run(tmp_path, counting, "--run-id", "work").output.unlink()
    again = run(tmp_path, counting, "--run-id", "work", "--attempt", "2")
    assert (again.code, again.record["attempt"]) == (0, 2)
    assert again.output.is_file()
    assert (tmp_path / "times").read_text() == "xx"


@pytest.mark.slow
def test_a_record_whose_notebook_was_replaced_answers_nothing(tmp_path: Path, counting: Path) -> None:
    run(tmp_path, counting, "--run-id", "work").output.write_bytes(counting.read_bytes())
    again = run(tmp_path, counting, "--run-id", "work", "--attempt", "2")
    assert (again.code, again.record["attempt"], again.notebook.cells[0].execution_count) == (0, 2, 1)


@pytest.mark.slow
def test_a_notebook_that_only_its_version_changed_of_is_the_same(tmp_path: Path, counting: Path) -> None:
    """As it is where a mount numbers files anew for each pod."""
    first = run(tmp_path, counting, "--run-id", "work")
    copied = tmp_path / "copied"
    copied.write_bytes(first.output.read_bytes())
    copied.replace(first.output)
    retry = run(tmp_path, counting, "--run-id", "work", "--attempt", "2")
    assert (retry.code, retry.record["attempt"], (tmp_path / "times").read_text()) == (0, 1, "x")


@pytest.mark.slow
@pytest.mark.fault(24)
def test_a_failure_that_no_retry_can_mend_answers_too(tmp_path: Path) -> None:
    first = run(tmp_path, ["1/0"], "--run-id", "work")
    retry = run(tmp_path, tmp_path / "in.ipynb", "--run-id", "work", "--attempt", "2")
    assert (first.code, retry.code, retry.record["attempt"]) == (10, 10, 1)
    changed = run(tmp_path, ["1/1"], "--run-id", "work", "--attempt", "3")
    assert (changed.code, changed.record["attempt"]) == (0, 3)


@pytest.mark.slow
def test_a_stopped_run_is_run_again(tmp_path: Path) -> None:
    with start(tmp_path, [WAIT], "--run-id", "work") as first:
        assert first.wait_for("begun").signal(signal.SIGTERM).finish(30).code == 143
    with start(tmp_path, tmp_path / "in.ipynb", "--run-id", "work", "--attempt", "2") as second:
        done = second.wait_for("begun").signal(signal.SIGTERM).finish(30)
    assert (done.code, done.record["attempt"]) == (143, 2)


@pytest.mark.slow
def test_another_run_replaces_what_an_earlier_one_left(tmp_path: Path) -> None:
    assert run(tmp_path, ["1/0"]).code == 10
    done = run(tmp_path, ["print('new')"])
    assert (done.code, done.text(0)) == (0, "new\n")


@pytest.mark.slow
@pytest.mark.fault(11)
@pytest.mark.fault(24)
def test_waiting_for_an_earlier_attempt_can_be_stopped(tmp_path: Path) -> None:
    first = run(tmp_path, ["1"], "--run-id", "work")
    claim = {"token": "t", "host": "elsewhere", "pid": 1, "pid_started": 1, "lease_seconds": 30}
    now = datetime.now(UTC).isoformat()
    held = first.record | {"state": "running", "exit_code": None, "claim": claim | {"heartbeat_at": now}}
    place = tmp_path / "out.result.json"
    place.write_text(json.dumps(held))
    with start(tmp_path, ["2"], "--run-id", "work", "--attempt", "2") as second:
        assert processes.until(lambda: len(processes.marked(second.mark)) >= 3, 30), "its kernel has been launched"
        time.sleep(0.5)
        assert not second.ended
        done = second.signal(signal.SIGTERM).finish(30, check=False)
    assert done.code == 143
    assert json.loads(place.read_text()) == held


@pytest.mark.slow
@pytest.mark.fault(24)
def test_a_run_that_was_outdone_leaves_the_winners_log_and_record_alone(tmp_path: Path) -> None:
    """As after a pause of the whole machine that outlasted its claim."""
    record, log = tmp_path / "out.result.json", tmp_path / "out.log.jsonl"
    with start(tmp_path, ["import time\nprint('begun', flush=True)\ntime.sleep(1)"]) as first:
        first.wait_for("begun")
        taken = json.loads(record.read_text())
        won = taken | {"run_id": "winner", "state": "succeeded", "exit_code": 0, "claim": None}
        record.write_text(json.dumps(won))
        log.write_text("the winner's\n")
        (tmp_path / "out.ipynb").write_text("{}")
        done = first.finish(check=False)
    assert done.code == 73
    assert (json.loads(record.read_text()), log.read_text()) == (won, "the winner's\n")
    assert (tmp_path / "out.ipynb").read_text() == "{}"


@pytest.mark.slow
@pytest.mark.fault(67)
@pytest.mark.parametrize("how", ["removed", "taken"])
def test_a_claim_that_is_lost_while_the_cells_run_publishes_nothing_and_says_so(tmp_path: Path, how: str) -> None:
    record = tmp_path / "out.result.json"
    with start(tmp_path, ["import time\nprint('begun', flush=True)\ntime.sleep(1)"]) as first:
        first.wait_for("begun")
        claimed = json.loads(record.read_text())
        if how == "removed":
            record.unlink()
        else:
            record.write_text(json.dumps(claimed | {"run_id": "thief", "claim": claimed["claim"] | {"token": "other"}}))
        left = sorted(path.name for path in tmp_path.iterdir())
        done = first.finish(check=False)
    told = [line for line in done.shown() if line.get("event") == "run-finished"]
    assert [(line["state"], line["exit_code"]) for line in told] == [("failed", 73)]
    assert done.shown()[-1] == told[0]
    assert done.code == 73
    assert ("thief" in told[0]["message"]) is (how == "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@pytest.mark.slow
def test_the_verdict_is_told_once_and_ends_the_stored_log(tmp_path: Path) -> None:
    for cells in (["1"], ["1/0"]):
        done = run(tmp_path, cells)
        assert [line.get("event") for line in done.log].count("run-finished") == 1
        assert (done.log[-1]["event"], done.log[-1]["exit_code"]) == ("run-finished", done.code)


@pytest.mark.slow
def test_outputs_that_would_share_a_record_are_refused(tmp_path: Path) -> None:
    first = run(tmp_path, ["'first'"])
    second = run(tmp_path, tmp_path / "in.ipynb", output="out", check=False)
    assert second.code == 65
    assert "is the record of another output" in second.stdout
    assert json.loads((tmp_path / "out.result.json").read_text()) == first.record
    assert not (tmp_path / "out").exists()
