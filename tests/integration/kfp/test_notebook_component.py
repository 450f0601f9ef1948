"""What the README says of Kubeflow's own notebook component, by its own code."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support import notebooks
from support.notebooks import Code


def component(folder: Path, cells: list[notebooks.Cell], call: str) -> subprocess.CompletedProcess[str]:
    """Run a notebook as a step does that ``dsl.notebook_component`` makes, whose function is ``call``."""
    templates = pytest.importorskip("kfp.dsl.templates.notebook_executor")
    notebook = notebooks.write(folder / "source" / "n.ipynb", cells)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(notebook, "n.ipynb")
    source = templates.get_notebook_executor_source(base64.b64encode(packed.getvalue()).decode(), "n.ipynb")
    step = folder / "work" / "step.py"
    step.parent.mkdir()
    step.write_text(f"from kfp import dsl\n{source}\n{call}\n")
    command = [sys.executable, str(step)]
    return subprocess.run(command, cwd=step.parent, capture_output=True, text=True, check=False, timeout=100)


def test_it_keeps_no_executed_notebook_and_passes_over_a_misspelt_parameter(tmp_path: Path) -> None:
    cells: list[notebooks.Cell] = [Code("rate = 0.1", tags=("parameters",)), "print('rate is', rate)"]
    done = component(tmp_path, cells, "kfp_run_notebook(raet=0.2)")
    assert done.returncode == 0, done.stderr
    assert "rate is 0.1" in done.stdout
    assert "raet" not in done.stdout + done.stderr
    assert list((tmp_path / "work").glob("**/*.ipynb")) == []


@pytest.mark.parametrize("fault", ["1 / 0", "import os; os.kill(os.getpid(), 9)"], ids=["raises", "kernel killed"])
def test_a_failure_ends_it_with_1_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    done = component(tmp_path, ["print('before')", fault], "kfp_run_notebook()")
    assert (done.returncode, "Notebook execution failed" in done.stderr) == (1, True), done.stderr
    assert list((tmp_path / "work").glob("**/*.ipynb")) == []
