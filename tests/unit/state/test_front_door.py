"""What a notebook calls: the same lines in a run, in a run that keeps no state, and outside of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbstep_runner.state.desk import Desk

LINES = "from nbstep_runner import state; print(state.folder); print(state.restored, state.save())"


def told(folder: Path, code: str = LINES, script: str = "", **variables: str) -> list[str]:
    """What a process prints, in an environment without a run unless ``variables`` make one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NBSTEP_", "JPY_"))}
    command = [sys.executable, "-W", "error", *(["-c", code] if not script else [script])]
    done = subprocess.run(command, cwd=folder, env=kept | variables, capture_output=True, text=True, check=False)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()[-1:]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk("0123456789abcdef")
    yield desk
    desk.close()


def test_outside_of_a_run_the_folder_lies_beside_the_notebook_and_stays(tmp_path: Path) -> None:
    assert told(tmp_path) == [str(tmp_path / "notebook-state"), "False False"]
    (tmp_path / "notebook-state" / "mine").touch()
    assert told(tmp_path)[1] == "True False"
    assert told(tmp_path, JPY_SESSION_NAME="/home/me/train.ipynb")[0] == str(tmp_path / "train-state")


def test_a_script_has_a_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "evaluate.py").write_text(LINES)
    assert told(tmp_path, script="evaluate.py")[0] == str(tmp_path / "evaluate-state")


def test_in_a_run_saves_are_asked_for_and_answered(tmp_path: Path, desk: Desk) -> None:
    answers = [True, False]
    desk.open(lambda: answers.pop(0), restored=True)
    assert told(tmp_path, LINES + "; print(state.save())", **desk.variables) == [str(desk.folder), "True True", "False"]
    assert not answers


def test_a_run_that_is_gone_is_told_and_ends_nothing(tmp_path: Path, desk: Desk) -> None:
    desk.open(lambda: True, restored=False)
    assert desk._listener is not None
    desk._listener.shutdown(socket.SHUT_RDWR)  # the socket's file stays, as a runner that was killed leaves it
    lines = told(tmp_path, LINES + "; print('on')", **desk.variables)
    assert "the state was not saved" in lines[-1]


def test_a_folder_that_the_user_names_is_taken(tmp_path: Path) -> None:
    assert told(tmp_path, NBSTEP_STATE_DIR=str(tmp_path / "a/b")) == [str(tmp_path / "a/b"), "False False"]


def test_what_asks_without_sense_gets_no_answer(desk: Desk) -> None:
    desk.open(lambda: True, restored=False)
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(desk.folder.parent / "save.sock"))
        asked.sendall(b"nonsense\n")
        assert asked.makefile().read() == ""


def test_the_desk_leaves_nothing(desk: Desk) -> None:
    desk.open(lambda: True, restored=True)
    desk.close()
    assert not desk.folder.parent.exists()
