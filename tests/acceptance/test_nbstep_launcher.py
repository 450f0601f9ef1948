"""The launcher notebook, run as a notebook: it submits, follows and shows the flights example."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NBSTEP = Path(sys.executable).with_name("nbstep")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.timeout(240)
def test_the_launcher_runs_the_flights_notebook_as_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    (tmp_path / "flights").mkdir()
    for name in ("flights.ipynb", "launcher.ipynb", "flights/predict.ipynb"):
        shutil.copy(NOTEBOOKS / name, tmp_path / name)
    done = subprocess.run(
        [NBSTEP.with_name("jupyter-execute"), "launcher.ipynb", "--output=out.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "flights on 14 days" in (tmp_path / "out.ipynb").read_text()
    (record,) = (tmp_path / "nbstep-runs").glob("*/output.result.json")
    assert 0.5 < json.loads(record.read_text())["results"]["auc"] <= 1
    assert record.with_name("output.html").exists()
    assert (tmp_path / "local-files/flights-model/model.joblib").exists()
    assert "local: http://127.0.0.1:" in (tmp_path / "out.ipynb").read_text()
    assert list((tmp_path / "nbstep-runs").glob("flight-odds-*/**/*.ipynb")) == [], "the endpoint is deleted whole"


@pytest.mark.timeout(240)
def test_the_launcher_runs_the_flights_notebook_as_a_step_of_a_pipeline(tmp_path: Path) -> None:
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    for name in ("flights.ipynb", "launcher.ipynb"):
        shutil.copy(NOTEBOOKS / name, tmp_path / name)
    done = subprocess.run(
        [NBSTEP, "run", "launcher.ipynb", "out.ipynb", "-y", "{ON: [], ENDPOINTS: [], PIPELINES: [local]}", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert 0.5 < json.loads(done.stdout)["results"]["pipeline_auc"] <= 1
    assert "exec-flights" in (tmp_path / "flights.yaml").read_text()
    (record,) = (tmp_path / "pipelines").glob("*/flights/output.result.json")
    assert json.loads(record.read_text())["state"] == "succeeded"
