"""Runs removed: whole, only after their end, and nothing beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import nbstep
from support import notebooks

pytestmark = pytest.mark.usefixtures("own_state")

NBSTEP = Path(sys.executable).with_name("nbstep")


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NBSTEP, *arguments, "--runs", "runs"], capture_output=True, text=True, check=False, timeout=60
    )


def ended(name: str, source: str, days: int) -> Path:
    """A run that ended some days ago, in its folder."""
    notebook = notebooks.write(Path(f"{name}.ipynb"), [source])
    run = nbstep.submit(notebook, run_id=name, runs="runs", on="local", html=False)
    run.wait(60, check=False)
    record = Path("runs", name, "output.result.json")
    then = datetime.now(UTC) - timedelta(days=days)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"ended_at": then.isoformat()}))
    return Path("runs", name)


@pytest.mark.slow
def test_a_run_is_removed_whole_once_it_has_ended(tmp_path: Path) -> None:
    notebook = notebooks.write(Path("long.ipynb"), ["import time\ntime.sleep(600)"])
    run = nbstep.submit(notebook, run_id="long", runs="runs", on="local", html=False)
    done = typed("delete", "long")
    assert (done.returncode, done.stdout) == (73, "")
    assert "nbstep cancel long" in done.stderr
    assert (tmp_path / "runs/long/spec.json").exists()
    run.cancel()
    run.wait(60, check=False)

    done = typed("delete", "long", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("would be removed\n")
    assert (tmp_path / "runs/long/spec.json").exists()

    done = typed("delete", "long")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("long: ")
    assert list((tmp_path / "runs").iterdir()) == []
    assert typed("delete", "long").returncode == 66


@pytest.mark.slow
def test_old_runs_are_pruned_and_nothing_else(tmp_path: Path) -> None:
    old, failed, new = ended("old", "1", 40), ended("failed", "1/0", 40), ended("new", "1", 2)
    (tmp_path / "runs/mine").mkdir()
    (tmp_path / "runs/mine/notes.txt").write_text("not a run")

    done = typed("prune", "--older-than", "30d", "--keep-failed", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("old: ")
    assert done.stdout.splitlines()[-1].startswith("1 runs, ")
    assert old.exists()

    assert typed("prune", "--older-than", "30d", "--keep-failed").returncode == 0
    assert [folder.exists() for folder in (old, failed, new)] == [False, True, True]
    assert typed("prune", "--older-than", "30d").returncode == 0
    assert [folder.exists() for folder in (old, failed, new)] == [False, False, True]
    assert (tmp_path / "runs/mine/notes.txt").exists()


@pytest.mark.parametrize("age", ["soon", "30", "-1d", "30 d ago"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    done = typed("prune", "--older-than", age)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not an age such as 30d, 12h or 4w" in done.stderr
