"""Two of the examples with every step in its own container, as on a cluster."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from nbstep.steps.kfp import local_runs
from servers.dockerd import Docker

EXAMPLES = Path(__file__).parents[3] / "pipelines/examples"

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]


def run(name: str, image: str, runs: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Any:
    monkeypatch.setenv("NBSTEP_IMAGE", image)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "common", raising=False)  # it has read another image
    pipeline = runpy.run_path(str(EXAMPLES / f"{name}.py"))["pipeline"]
    with local_runs(runs, containers=True, network_mode="none", read_only=True, cap_drop=["ALL"]):
        return pipeline(**arguments).output


def test_process_train(client: Docker, data_science: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client
    assert run("process_train", data_science, folder / "runs", monkeypatch) > 0.8
    (model,) = (folder / "runs").glob("*/train/model")
    assert model.stat().st_size > 0


def test_digits(client: Docker, data_science: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client
    assert run("digits", data_science, folder / "runs", monkeypatch, train_steps=150) > 0.85
    (page,) = (folder / "runs").glob("*/evaluate/html")
    assert page.stat().st_size > 10_000
