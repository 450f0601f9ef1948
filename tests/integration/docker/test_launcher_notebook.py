"""The launcher notebook sends the flights notebook into a container."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from servers import image
from servers.dockerd import Docker

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

NBSTEP = Path(sys.executable).with_name("nbstep")
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
TAG = "nbstep-test-environment:current"


def test_the_launcher_notebook_trains_in_a_container(
    docker: Docker, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = work / "image.tar"
    image.build(archive, TAG, Path(tempfile.gettempdir()))
    docker.call("load", "--input", archive)
    archive.unlink()
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(NOTEBOOKS / "data", work / "data")
    for name in ("flights.ipynb", "launcher.ipynb"):
        shutil.copy(NOTEBOOKS / name, work / name)
    done = subprocess.run(
        [NBSTEP, "run", "launcher.ipynb", "out.ipynb", "--json", "-y", f"{{ON: [docker], IMAGE: {TAG}}}"],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert 0.5 < json.loads(done.stdout)["results"]["docker_auc"] <= 1
    assert "flights on 14 days" in done.stderr
