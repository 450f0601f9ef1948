"""The example that a new user runs first: it trains, evaluates and keeps its model, in both modes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUNNER = Path(sys.executable).with_name("nbstep-runner")


def run_flights(folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    done = subprocess.run(
        [RUNNER, "notebooks/flights.ipynb", folder / "out.ipynb", "notebooks/flights.params.yaml", *options],
        cwd=ROOT,
        env=os.environ | {"MODEL_DIR": str(folder / "model")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, json.loads((folder / "out.result.json").read_text())


@pytest.mark.parametrize(("develop", "flights", "epochs"), [("True", 5_040, 2), ("False", 30_240, 8)])
def test_it_trains_evaluates_and_keeps_its_model(tmp_path: Path, develop: str, flights: int, epochs: int) -> None:
    log, record = run_flights(tmp_path, "-p", "DEVELOP_MODE", develop)

    assert record["state"] == "succeeded"
    assert {cell["state"] for cell in record["cells"]} == {"succeeded"}
    assert record["results"]["flights"] == flights
    assert f"epoch {epochs}/{epochs}" in log
    metadata = json.loads((tmp_path / "model/metadata.json").read_text())
    assert metadata["metrics"] == {name: record["results"][name] for name in ("rmse", "accuracy", "auc")}
    assert metadata["trained_on"]["epochs"] == epochs
    assert (tmp_path / "model/model.joblib").stat().st_size > 0
    assert "class FlightModel" in (tmp_path / "model/flights_model.py").read_text()
    if develop == "False":
        assert record["results"]["auc"] > rule_of_thumb(tmp_path / "out.ipynb") + 0.05


def rule_of_thumb(executed: Path) -> float:
    """The AUC that the model has to beat, from the executed notebook's own table."""
    notebook = nbformat.read(executed, as_version=4)
    (table,) = (cell.outputs[0].data["text/plain"] for cell in notebook.cells if cell.id == "evaluate")
    return float(next(line for line in table.splitlines() if line.startswith("AUC")).split()[1])


def test_the_notebook_is_shipped_without_outputs() -> None:
    notebook = nbformat.read(ROOT / "notebooks/flights.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []
