"""A run with all that lives beside its output, struck at each phase: killed, stopped, and out of storage.

It keeps a state, collects files, reports one as a result and has a page; it is the second attempt of its run.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from faults.struck_runner import FULL, KILLED, STOPPED
from nbstep_runner.stores.atomicfile import is_temporary
from support.runs import Done, run

STRUCK_RUNNER = Path(__file__).with_name("struck_runner.py")
CELLS: Final = [
    """
import os
from pathlib import Path
from nbstep_runner import result, state
kept = state.folder / "lives"
lives = int(kept.read_text()) + 1 if state.restored else 1
Path("a.csv").write_text(str(lives))
Path("model").mkdir()
Path("model/weights").write_text("w" * lives)
Path("loss.txt").write_text("0.5")
result("loss", Path("loss.txt"))
kept.write_text(str(lives))
state.save()
if lives == 1: os._exit(3)
""",
    "result('lives', lives)",
]
COLLECTED: Final = ["a.csv", "loss.txt", "model/weights"]
PHASES: Final = {
    "before the claim": r"read .*/in\.ipynb",
    "keeping the attempt before": r"write .*/1\.log\.jsonl",
    "restoring": r"read .*/pieces/.*",
    "running": r"write .*/generations/.*",
    "collecting": r"write .*/model/weights",
    "publishing": r"write .*/out\.ipynb",
}
CODES: Final = {KILLED: {-9}, STOPPED: {143, 0}, FULL: {75}}
"""What it may end with; 0 where it had ended but for its publication."""
Tried = Callable[[str, float], None]


def attempt(folder: Path, *blow: str, check: bool = True) -> Done:
    """The next attempt of the run, in a working directory of its own as on a cluster; struck where that is asked for.

    Args:
        folder: Of the run.
        blow: What falls, and the pattern of the operation at which it does.
        check: The record is to be this attempt's.
    """
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    options = ("--run-id", "work", "--attempt", "next", "--cwd", str(work), "--collect", "*.csv", "--collect", "model/")
    how: dict[str, Any] = {"command": [sys.executable, str(STRUCK_RUNNER), *blow]} if blow else {}
    return run(folder, CELLS, *options, "--keep-state", "--html", check=check, **how)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first attempt leaves, whose kernel died: its state, its record and log, its files."""
    folder = tmp_path_factory.mktemp("first")
    assert attempt(folder).code == 12
    return folder


@pytest.mark.fault(60)
@pytest.mark.fault(75)
@pytest.mark.parametrize("blow", CODES)
@pytest.mark.parametrize("phase", PHASES)
def test_the_next_attempt_has_all_that_was_saved(
    first: Path, tmp_path: Path, phase: str, blow: str, tried: Tried
) -> None:
    folder = shutil.copytree(first, tmp_path / "run")
    struck = attempt(folder, blow, PHASES[phase], check=blow != FULL and phase != "before the claim")
    assert struck.code in CODES[blow], struck.stdout[-3000:]
    if blow == FULL:
        assert "there is no room" in struck.stdout

    done = attempt(folder)
    assert done.code == 0, done.stdout[-3000:]
    assert done.record["results"]["lives"] in (2, 3)
    assert done.record["continued_from"] is not None
    assert [file["path"] for file in done.record["files"]] == COLLECTED
    there = done.place.with_suffix(".files")
    left = [path for path in there.rglob("*") if path.is_file() and not is_temporary(path.name)]  # of a killed writer
    assert sorted(str(path.relative_to(there)) for path in left) == COLLECTED
    assert not (folder / "out.partial.ipynb").exists()
    kept = {path.name for path in (folder / "out.attempts").iterdir()}
    assert {f"{number}.verdict.json" for number in range(1, done.record["attempt"])} <= kept
    tried(f"{blow}: a run that keeps a state and collects files, at each phase", struck.seconds)
