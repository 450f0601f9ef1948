"""``nbstep rerun``: what a run ran, once more, wherever the run was started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import notebooks

NBSTEP = Path(sys.executable).with_name("nbstep")
CELLS: list[str | notebooks.Code] = [
    notebooks.Code("n: int = 1\nfactor: int = 2", tags=("parameters",)),
    "import os\nfrom nbstep_runner import result\nresult('product', n * factor)",
    "result('data', open('data.txt').read() if os.path.exists('data.txt') else '')\nassert n < 9",
]


def nbstep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NBSTEP, *arguments],
        cwd=folder,
        env=os.environ | {"NBSTEP_PROFILES": str(folder / "profiles.yaml")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    (tmp_path / "data.txt").write_text("forty-two")
    notebooks.write(tmp_path / "train.ipynb", CELLS)
    return tmp_path


def records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(nbstep(folder, "list", "--json").stdout)
    return found


@pytest.mark.slow
def test_a_submitted_run_runs_again_with_its_files_and_other_parameters(folder: Path) -> None:
    first = ["submit", "train.ipynb", "-p", "n=3", "--file", "data.txt", "--label", "team=a", "--no-html", "--wait"]
    assert nbstep(folder, *first).returncode == 0
    (folder / "data.txt").write_text("changed since")
    (folder / "train.ipynb").unlink()
    done = nbstep(folder, "rerun", "latest", "-p", "factor", "5", "--label", "try=2", "--wait")
    assert (done.returncode, done.stdout.strip().rpartition("/")[2]) == (0, records(folder)[0]["run_id"])
    new, old = records(folder)
    assert new["run_id"] != old["run_id"]
    assert new["run_id"].startswith("train-")
    assert (old["results"], new["results"]) == (
        {"product": 6, "data": "forty-two"},
        {"product": 15, "data": "forty-two"},
    )
    assert new["labels"] == {"team": "a", "try": "2"}


@pytest.mark.slow
def test_what_is_not_kept_has_to_be_given_again(folder: Path) -> None:
    assert nbstep(folder, "submit", "train.ipynb", "--env", "TOKEN=x", "--no-html", "--wait").returncode == 0
    kept = "".join(file.read_text() for file in folder.glob("nbstep-runs/*/*.json"))
    assert "TOKEN" in kept
    done = nbstep(folder, "rerun", "latest")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nbstep: the values of TOKEN are not kept with the run train-")
    assert done.stderr.endswith("Give them again with --env NAME=VALUE.\n")


@pytest.mark.slow
def test_a_run_that_was_not_submitted_runs_here_over_its_output(folder: Path) -> None:
    assert nbstep(folder, "run", "train.ipynb", "out.ipynb", "-p", "n", "4").returncode == 0
    done = nbstep(folder, "rerun", "out.ipynb", "-p", "factor=10", "--json")
    assert (done.returncode, json.loads(done.stdout)["results"]["product"]) == (0, 40)
    failed = nbstep(folder, "rerun", "out.ipynb", "-p", "n=9")
    assert failed.returncode == 10
    assert json.loads((folder / "out.result.json").read_text())["parameters"] == {"n": 9, "factor": 10}
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "profiles.yaml").write_text("profiles: {}\n")
    notebooks.write(elsewhere / "train.ipynb", ["raise SystemError('another notebook of that name')"])
    for _ in range(2):
        again = nbstep(elsewhere, "rerun", "../out.ipynb", "-p", "n=5", "--json")
        assert (again.returncode, json.loads(again.stdout)["results"]["data"]) == (0, "forty-two")
    refused = nbstep(folder, "rerun", "out.ipynb", "--on", "docker")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a run that was not submitted runs here again, and takes no on" in refused.stderr


@pytest.mark.slow
def test_mistakes_are_told_before_anything_runs(folder: Path) -> None:
    assert nbstep(folder, "submit", "train.ipynb", "--no-html", "--wait").returncode == 0
    done = nbstep(folder, "rerun", "latest", "-p", "facto=1")
    assert (done.returncode, done.stdout) == (65, "")
    assert "did you mean factor?" in done.stderr
    assert len(records(folder)) == 1
    assert nbstep(folder, "rerun", "nobody").returncode == 66


STEPS = """
from nbstep_runner import result, state
file = state.folder / "n"
begun = int(file.read_text()) if state.restored else 0
file.write_text(str(begun + 1))
result("begun", begun)
assert GOOD, "a mistake"
"""


@pytest.mark.slow
def test_a_failed_run_resumes_with_its_state_and_a_mended_notebook(folder: Path) -> None:
    notebooks.write(folder / "broken.ipynb", [STEPS.replace("GOOD", "False")])
    notebooks.write(folder / "mended.ipynb", [STEPS.replace("GOOD", "True")])
    assert nbstep(folder, "submit", "broken.ipynb", "--keep-state", "--no-html", "--wait").returncode == 10
    failed = records(folder)[0]
    assert (failed["results"], failed["state_generation"]) == ({"begun": 0}, 1)

    again = nbstep(folder, "rerun", "latest", "--wait")
    assert (again.returncode, records(folder)[0]["results"]) == (10, {"begun": 0})

    resumed = nbstep(folder, "rerun", failed["run_id"], "--resume", "--notebook", "mended.ipynb", "--wait")
    assert resumed.returncode == 0
    record = records(folder)[0]
    assert record["results"] == {"begun": 1}
    assert (record["continued_from"]["run_id"], record["continued_from"]["generation"]) == (failed["run_id"], 1)


@pytest.mark.slow
def test_a_run_that_was_not_submitted_resumes_over_its_output(folder: Path) -> None:
    notebooks.write(folder / "broken.ipynb", [STEPS.replace("GOOD", "False")])
    notebooks.write(folder / "mended.ipynb", [STEPS.replace("GOOD", "True")])
    assert nbstep(folder, "run", "broken.ipynb", "out.ipynb", "--keep-state").returncode == 10
    assert nbstep(folder, "rerun", "out.ipynb", "--resume", "--notebook", "mended.ipynb").returncode == 0
    record = json.loads((folder / "out.result.json").read_text())
    assert (record["results"], record["state_generation"]) == ({"begun": 1}, 2)


@pytest.mark.slow
def test_a_run_without_a_state_cannot_be_resumed(folder: Path) -> None:
    assert nbstep(folder, "submit", "train.ipynb", "-p", "n=9", "--no-html", "--wait").returncode == 10
    done = nbstep(folder, "rerun", "latest", "--resume", "--wait")
    assert done.returncode == 65
    assert "there is no state of" in done.stderr
