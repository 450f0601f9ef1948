"""The launcher notebook sends the flights notebook into a container, by itself and as a step of a pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.dockerd import Docker

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

NBSTEP = Path(sys.executable).with_name("nbstep")
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def test_the_launcher_notebook_trains_in_a_container(
    docker: Docker, environment_image: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(NOTEBOOKS / "data", work / "data")
    for name in ("flights.ipynb", "launcher.ipynb"):
        shutil.copy(NOTEBOOKS / name, work / name)
    began = time.time()
    done = subprocess.run(
        [
            *(NBSTEP, "run", "launcher.ipynb", "out.ipynb", "--json"),
            *(
                "-y",
                f"{{ON: [docker], ENDPOINTS: [], SWEEPS: [docker], IMAGE: {environment_image}, PIPELINES: [local]}}",
            ),
        ],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert 0.5 < results["docker_auc"] <= 1
    assert results["pipeline_auc"] == results["docker_auc"]
    assert results["docker_best_rmse"] <= results["docker_rmse"]
    assert "flights on 14 days" in done.stderr
    (record,) = (work / "pipelines").glob("*/flights/output.result.json")
    assert json.loads(record.read_text())["state"] == "succeeded"
    assert ended_containers(docker, began) == [f"{environment_image} 0"] * 3


def ended_containers(docker: Docker, since: float) -> list[str]:
    """The image and the exit code of each container that has ended since then."""
    shown = "--format={{.Actor.Attributes.image}} {{.Actor.Attributes.exitCode}}"
    window = (f"--since={since:.3f}", f"--until={time.time():.3f}")
    return docker.call("events", *window, "--filter=event=die", shown).stdout.splitlines()
