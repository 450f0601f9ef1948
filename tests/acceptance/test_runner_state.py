"""``--keep-state``, ``--resume`` and ``--force`` as they are typed: what an attempt finds of the one before."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from support import processes, runs
from support.notebooks import Code

LOOP = """
import time
from nbstep_runner import result, state
file = state.folder / "steps"
done = int(file.read_text()) if state.restored else 0
print("begins at", done, flush=True)
while done < 6:
    done += 1
    (state.folder / "next").write_text(str(done))
    (state.folder / "next").replace(file)
    assert state.save()
    print("saved", done, flush=True)
    time.sleep(LONG if done == 3 and not state.restored else 0)
result("steps", done)
"""
WAITING = LOOP.replace("LONG", "60")


def generations(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out.state" / "generations").iterdir())


def stopped(folder: Path, number: signal.Signals, *options: str) -> runs.Done:
    """A run that is ended by a signal after its third step."""
    with runs.start(folder, [WAITING], "--keep-state", *options) as running:
        running.wait_for("saved 3").signal(number)
        return running.finish(check=number is not signal.SIGKILL)


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, id="terminated"), pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.slow)],
)
def test_the_next_attempt_goes_on_from_the_state_of_the_one_before(tmp_path: Path, number: signal.Signals) -> None:
    first = stopped(tmp_path, number, "--run-id", "train")
    if number is signal.SIGTERM:
        assert (first.code, first.record["state"], first.record["state_generation"]) == (143, "cancelled", 3)
    again = runs.run(tmp_path, [WAITING], "--keep-state", "--run-id", "train", "--attempt", "next")

    assert again.code == 0
    assert again.text(0).splitlines() == ["begins at 3", "saved 4", "saved 5", "saved 6"]
    assert again.record["results"] == {"steps": 6}
    assert again.record["attempt"] == 2
    came_from = again.record["continued_from"]
    assert (came_from["generation"], came_from["run_id"], came_from["attempt"]) == (3, "train", 1)
    assert again.record["state_generation"] == 6
    assert generations(tmp_path) == ["000005.json", "000006.json"]
    assert "goes on from generation 3 of the state, saved by attempt 1 of train" in again.stdout


@pytest.mark.slow
def test_the_same_command_typed_again_goes_on_too(tmp_path: Path) -> None:
    first = stopped(tmp_path, signal.SIGINT)
    assert first.code == 130
    again = runs.run(tmp_path, [WAITING], "--keep-state")
    assert (again.code, again.text(0).splitlines()[0]) == (0, "begins at 3")


@pytest.mark.slow
def test_force_begins_anew(tmp_path: Path) -> None:
    stopped(tmp_path, signal.SIGTERM, "--run-id", "train")
    anew = runs.run(tmp_path, [LOOP.replace("LONG", "0")], "--keep-state", "--run-id", "train", "--force")
    assert (anew.code, anew.text(0).splitlines()[0]) == (0, "begins at 0")
    assert anew.record["continued_from"] is None


@pytest.mark.slow
def test_a_forced_run_that_was_stopped_goes_on_in_its_next_attempt(tmp_path: Path) -> None:
    stopped(tmp_path, signal.SIGTERM, "--run-id", "train", "--force")
    again = runs.run(tmp_path, [WAITING], "--keep-state", "--run-id", "train", "--attempt", "next", "--force")
    assert (again.code, again.text(0).splitlines()[0]) == (0, "begins at 3")


@pytest.mark.slow
def test_a_changed_notebook_begins_anew_and_the_record_says_so(tmp_path: Path) -> None:
    stopped(tmp_path, signal.SIGTERM)
    other = runs.run(tmp_path, [LOOP.replace("LONG", "0")], "--keep-state")
    assert (other.code, other.text(0).splitlines()[0]) == (0, "begins at 0")
    assert "of another notebook or other parameters" in other.stdout


FAILING = WAITING + "\nassert done < 6, 'a mistake'\n"


@pytest.mark.slow
def test_a_failed_run_answers_for_its_work_and_resumes_on_request_with_a_mended_notebook(tmp_path: Path) -> None:
    broken, mended = (text.replace("60", "0") for text in (FAILING, WAITING))
    options = ("--keep-state", "--run-id", "train")
    failed = runs.run(tmp_path, [broken], *options)
    assert (failed.code, failed.record["state_generation"]) == (10, 6)

    answered = runs.run(tmp_path, [broken], *options, "--attempt", "next")
    assert (answered.code, answered.record["attempt"]) == (10, 1)

    again = runs.run(tmp_path, [broken], *options, "--attempt", "next", "--resume")
    assert (again.code, again.text(0).splitlines()[0]) == (10, "begins at 6")

    resumed = runs.run(tmp_path, [mended], "--resume", "--run-id", "train", "--attempt", "next")
    assert (resumed.code, resumed.text(0).splitlines()) == (0, ["begins at 6"])
    assert resumed.record["continued_from"]["generation"] == 6

    done = runs.run(tmp_path, [mended], "--resume", "--run-id", "train", "--attempt", "next")
    assert (done.code, done.record["attempt"]) == (0, resumed.record["attempt"])


@pytest.mark.slow
def test_checkpoints_save_the_state_without_a_word_of_the_notebook(tmp_path: Path) -> None:
    cell = """
import os, pathlib, time
folder = pathlib.Path(os.environ["NBSTEP_STATE_DIR"])
print(sorted(path.name for path in folder.iterdir()), flush=True)
(folder / "mine").write_text("1")
time.sleep(0 if RESTORED else 60)
""".replace("RESTORED", "os.path.exists(folder.parent / 'restored')")
    with runs.start(tmp_path, [cell], "--keep-state", "--autosave-cell-every", "0.2") as running:
        processes.until((tmp_path / "out.state/generations/000001.json").exists, 60)
        running.signal(signal.SIGKILL).finish(check=False)
    again = runs.run(tmp_path, [cell], "--keep-state")
    assert (again.code, again.text(0)) == (0, "['mine']\n")


@pytest.mark.slow
def test_a_kernel_that_dies_leaves_its_state(tmp_path: Path) -> None:
    cell = """
import os
from nbstep_runner import state
print(state.restored, flush=True)
print(state.folder, flush=True)
(state.folder / "mine").write_text("1")
if not state.restored:
    os.kill(os.getpid(), 9)
"""
    died = runs.run(tmp_path, [cell], "--keep-state", "--run-id", "train")
    assert (died.code, died.record["state_generation"]) == (12, 1)
    again = runs.run(tmp_path, [cell], "--keep-state", "--run-id", "train", "--attempt", "next")
    restored, place = again.text(0).splitlines()
    assert (again.code, restored) == (0, "True")
    assert not Path(place).exists()


@pytest.mark.slow
@pytest.mark.fault(60)
def test_links_and_what_is_too_large_are_told_in_the_record_and_change_no_verdict(tmp_path: Path) -> None:
    cell = """
from nbstep_runner import state
(state.folder / "link").symlink_to("/etc/passwd")
(state.folder / "mine").write_text("1")
print(state.save())
(state.folder / "large").write_bytes(bytes(200_000))
print(state.save())
"""
    done = runs.run(tmp_path, [cell], "--keep-state", "--state-limit", "100k")
    assert (done.code, done.text(0)) == (0, "True\nFalse\n")
    assert done.record["state_generation"] == 1
    assert done.record["warnings"] == [
        "link is not saved with the state: it is a link",
        "the state was not saved: the state folder holds 200001 bytes, may hold 102400, and was not saved",
    ]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "out.state/pieces").iterdir())
    assert stored == b"1"


@pytest.mark.slow
def test_a_run_that_keeps_no_state_says_so_and_ends_with_its_folder(tmp_path: Path) -> None:
    cell = """
from nbstep_runner import state
(state.folder / "mine").write_text("1")
print(state.folder)
print(state.restored, state.save())
"""
    done = runs.run(tmp_path, [cell])
    assert done.code == 0
    folder, said = done.text(0).splitlines()
    assert said == "False False"
    assert not Path(folder).exists()
    assert "this run keeps no state: start it with --keep-state or state=True" in done.text(0, "stderr")
    assert not (tmp_path / "out.state").exists()


@pytest.mark.slow
def test_other_kernels_and_processes_of_the_notebook_have_the_folder_too(tmp_path: Path) -> None:
    cell = """
import subprocess, sys
code = "from nbstep_runner import state; (state.folder / 'mine').write_text('1'); print(state.save())"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout, end="")
"""
    done = runs.run(tmp_path, [cell, "%%bash\nls $NBSTEP_STATE_DIR"], "--keep-state")
    assert (done.code, done.text(0), done.text(1)) == (0, "True\n", "mine\n")


def test_a_run_to_standard_output_has_no_place_for_a_state(tmp_path: Path) -> None:
    (tmp_path / "in.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done = runs.command(str(tmp_path / "in.ipynb"), "-", "--keep-state")
    assert done.returncode == 65
    assert b"has no place to keep its state" in done.stderr


def test_force_and_resume_exclude_each_other(tmp_path: Path) -> None:
    done = runs.command("in.ipynb", "out.ipynb", "--force", "--resume", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--force begins anew and --resume goes on" in done.stderr


def test_a_spec_from_a_file_keeps_its_state_although_its_kernel_was_started_before_it_was_read(tmp_path: Path) -> None:
    from nbstep_runner.contract import RunSpec, encode
    from support import notebooks

    notebooks.write(tmp_path / "in.ipynb", ["import os; print('NBSTEP_STATE_DIR' in os.environ)"])
    spec = RunSpec(run_id="r", input_uri=str(tmp_path / "in.ipynb"), output_uri=str(tmp_path / "out.ipynb"), state=True)
    (tmp_path / "spec.json").write_bytes(encode(spec))
    done: Any = runs.command("--spec", str(tmp_path / "spec.json"))
    assert done.returncode == 0
    assert "True" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
def test_parameters_and_state_go_together(tmp_path: Path) -> None:
    cells = [Code("rate: float = 0.1", tags=("parameters",)), WAITING]
    with runs.start(tmp_path, cells, "--keep-state", "-p", "rate", "0.5") as running:
        running.wait_for("saved 3").signal(signal.SIGTERM)
        running.finish()
    other = runs.run(tmp_path, [cells[0], LOOP.replace("LONG", "0")], "--keep-state", "-p", "rate", "0.7")
    assert other.text(2).splitlines()[0] == "begins at 0"
