"""``nbstep.run`` as people who come from papermill call it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import papermill
import pytest

import nbstep
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError, InputNotFoundError, KernelUnavailableError
from support import notebooks
from support.notebooks import Code


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cells: list[str | Code] = [
        Code("n = 1", tags=("parameters",)),
        "print('n is', n)\nfrom nbstep_runner import result\nresult('n', n)",
    ]
    notebooks.write(tmp_path / "in.ipynb", cells)
    return tmp_path


def test_a_run_returns_what_came_of_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = nbstep.run("in.ipynb", Path("out.ipynb"), {"n": 7})
    assert (run.state, run.results) == (RunState.SUCCEEDED, {"n": 7})
    assert "n is 7" in json.dumps(run.notebook())
    assert json.loads((folder / "out.result.json").read_text())["parameters"] == {"n": 7}
    assert capfd.readouterr() == ("", "")
    assert nbstep.find("out.ipynb").id == run.id


def test_a_value_of_numpy_is_the_number_that_it_holds(folder: Path) -> None:
    nbstep.run("in.ipynb", "out.ipynb", {"n": np.int64(7)}, prepare_only=True)
    assert "n = 7" in (folder / "out.ipynb").read_text()


def test_without_an_output_it_lies_in_the_current_folder(folder: Path) -> None:
    assert nbstep.run(folder / "in.ipynb").output_uri == str(folder / "in.out.ipynb")
    assert (folder / "in.out.ipynb").exists()


def test_a_failed_cell_raises_and_its_notebook_is_there(folder: Path) -> None:
    notebooks.write(folder / "bad.ipynb", ["raise ValueError('no data')"])
    with pytest.raises(CellFailedError, match="ValueError: no data") as raised:
        nbstep.run("bad.ipynb", "out.ipynb")
    assert any("ValueError" in note for note in raised.value.__notes__)
    assert (folder / "out.ipynb").exists()
    assert nbstep.run("bad.ipynb", "out.ipynb", check=False).state is RunState.FAILED


@pytest.mark.slow
def test_a_mistake_raises_its_own_error() -> None:
    with pytest.raises(InputNotFoundError):
        nbstep.run("missing.ipynb", "out.ipynb")
    with pytest.raises(KernelUnavailableError):
        nbstep.run("in.ipynb", "out.ipynb", kernel_name="no-such-kernel")


def test_the_log_is_printed_where_that_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    nbstep.run("in.ipynb", "out.ipynb", log_output=True)
    out, log = capfd.readouterr()
    assert out == ""
    assert "n is 1" in log


@pytest.mark.slow
def test_papermills_other_arguments_mean_the_same(folder: Path) -> None:
    (folder / "work").mkdir()
    notebooks.write(folder / "where.ipynb", ["import os, sys\nprint(os.getcwd())\nprint('err', file=sys.stderr)"])
    nbstep.run(
        "where.ipynb", "out.ipynb", cwd="work", report_mode=True, stdout_file="o.txt", stderr_file="e.txt",
        execution_timeout=60, start_timeout=60, autosave_cell_every=0, progress_bar=False,
    )  # fmt: skip
    assert (folder / "o.txt").read_text() == f"{folder / 'work'}\n"
    assert (folder / "e.txt").read_text() == "err\n"
    run = nbstep.run("in.ipynb", "prepared.ipynb", {"n": 9}, prepare_only=True)
    assert "n = 9" in json.dumps(run.notebook())
    assert run.record() is None


def test_every_argument_of_papermill_is_taken_or_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/papermill.md").read_text()
    ours = set(inspect.signature(nbstep.run).parameters)
    for name in inspect.signature(papermill.execute_notebook).parameters:
        assert f"`{name}`" in page
        if name not in ours:
            assert f"| `{name}`" in page


def test_what_there_is_can_be_completed_and_the_version_is_known() -> None:
    assert {"run", "submit", "sweep", "find", "__version__"} <= set(dir(nbstep))
    code = "import nbstep; dir(nbstep); import sys; print(nbstep.__version__, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
