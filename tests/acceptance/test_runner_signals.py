"""A run that is told to stop interrupts its kernel, lets it clean up, and saves what there is, in its grace period."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from support import processes
from support.runs import run, start

TIDY = """
import time
try:
    print('begun', flush=True)  # the signal may come before it returns
    time.sleep(60)
finally:
    time.sleep(0.5)
    print('cleaned up')
"""
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('begun', flush=True)
time.sleep(600)
"""


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("number", "code", "reference"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGHUP, 143, "terminated", marks=pytest.mark.slow),
    ],
)
def test_a_signal_in_a_cell(tmp_path: Path, number: signal.Signals, code: int, reference: str) -> None:
    with start(tmp_path, ["print('before')", TIDY, "print('after')"]) as running:
        done = running.wait_for("begun").signal(number).finish(30)
    assert (done.code, done.stderr) == (code, "")
    assert (done.record["state"], done.error["reference"]) == ("cancelled", reference)
    assert done.states == ["succeeded", "interrupted", "not_run"]
    assert done.error["cell_index"] == 1
    assert done.text(0) == "before\n"
    assert done.text(1) == "begun\ncleaned up\n"
    assert done.cells[1].outputs[-1].ename == "KeyboardInterrupt"
    assert done.cells[1].metadata.papermill.status == "failed"


INTERRUPTED_BEFORE_ITS_CODE = """
import signal
def interrupted(*_):
    signal.raise_signal(signal.SIGINT)
get_ipython().kernel.shell_handlers['execute_request'] = interrupted
"""


@pytest.mark.fault(77)
def test_an_interrupt_that_meets_the_kernel_before_the_code_of_a_cell(tmp_path: Path) -> None:
    done = run(tmp_path, [INTERRUPTED_BEFORE_ITS_CODE, "print('never')", "print('never')"], "--allow-errors")
    assert (done.code, done.states) == (10, ["succeeded", "failed", "not_run"])
    assert done.error["message"] == "the kernel is done with cell 1 and has not said how it ended"
    assert done.cells[1].outputs[-1].evalue == done.error["message"]
    assert done.cells[1].metadata.papermill.status == "failed"


@pytest.mark.slow
@pytest.mark.fault(10)
@pytest.mark.parametrize("grace", [5, 10])
def test_a_deaf_cell_is_killed_so_that_saving_ends_within_the_grace_period(tmp_path: Path, grace: int) -> None:
    with start(tmp_path, [DEAF], "--grace-period", str(grace)) as running:
        running.wait_for("begun").signal(signal.SIGTERM)
        told = time.monotonic()
        done = running.finish(grace)
    assert time.monotonic() - told < grace
    assert (done.code, done.states) == (143, ["interrupted"])
    assert done.text(0) == "begun\n"


@pytest.mark.fault(10)
def test_further_signals_do_not_cut_saving_short(tmp_path: Path) -> None:
    with start(tmp_path, [TIDY]) as running:
        running.wait_for("begun")
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            running.signal(number)
            time.sleep(0.1)
        done = running.finish(30)
    assert (done.code, done.states) == (143, ["interrupted"])
    assert done.text(0) == "begun\ncleaned up\n"


@pytest.mark.slow
@pytest.mark.fault(10)
def test_the_partial_notebook_is_there_while_the_run_lasts_and_gone_after_it(tmp_path: Path) -> None:
    partial = tmp_path / "out.partial.ipynb"
    with start(tmp_path, ["print('before')", TIDY], "--autosave-cell-every", "0.2") as running:
        running.wait_for("begun")
        end = time.monotonic() + 60
        while not (partial.exists() and '"begun\\n"' in partial.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        assert '"begun\\n"' in partial.read_text()
        assert '"status": "running"' in partial.read_text()
        assert not running.output.exists()
        done = running.signal(signal.SIGTERM).finish(30)
    assert done.code == 143
    assert not partial.exists()


@pytest.mark.fault(71)
def test_at_short_notice_a_cell_is_left_as_it_stands_and_all_is_published_at_once(tmp_path: Path) -> None:
    with start(tmp_path, [TIDY.replace("0.5", "30"), "print('after')"], "--short-notice", "--html") as running:
        running.wait_for("begun").signal(signal.SIGTERM)
        told = time.monotonic()
        assert processes.until(lambda: final(tmp_path / "out.result.json"), 25)
        took = time.monotonic() - told
        done = running.finish(30)
    assert took < 20, "a cell that cleans up for half a minute was waited for"
    assert (done.code, done.record["state"], done.states) == (143, "cancelled", ["interrupted", "not_run"])
    assert done.text(0) == "begun\n", "the cell was interrupted, and its cleanup was waited for"
    assert done.record["output_checksum"] is not None
    assert not (tmp_path / "out.html").exists()
    assert not (tmp_path / "out.partial.ipynb").exists()
    assert done.log[-1]["event"] == "run-finished"


def final(record: Path) -> bool:
    """Whether a record says how its run has ended."""
    try:
        return json.loads(record.read_bytes())["exit_code"] is not None
    except (OSError, ValueError):
        return False


@pytest.mark.fault(11)
def test_a_signal_while_the_kernel_starts(tmp_path: Path) -> None:
    """The claim is the first thing that can be seen of a run; its kernel starts meanwhile."""
    with start(tmp_path, ["print('before')"], "--stock-kernel") as running:
        assert processes.until((tmp_path / "out.result.json").exists, 30)
        done = running.signal(signal.SIGTERM).finish(30)
    assert done.code == 143
    assert (done.record["state"], done.error["reference"]) == ("cancelled", "terminated")
    assert not done.output.exists() or done.states == ["not_run"]


def test_a_checkpoint_that_cannot_be_written_is_a_warning_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "out.partial.ipynb").mkdir()
    done = run(tmp_path, ["import time\ntime.sleep(0.5)"], "--autosave-cell-every", "0.05")
    assert (done.code, done.states) == (0, ["succeeded"])
    told = [warning for warning in done.record["warnings"] if warning.startswith("a checkpoint could not be written: ")]
    assert len(told) == 1
    assert done.stdout.count(told[0]) == 1
