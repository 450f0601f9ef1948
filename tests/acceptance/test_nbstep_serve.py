"""A notebook served on this machine, as people type it and as a launcher notebook calls it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbstep
from nbstep.errors import EndpointUnavailableError
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError, CellFailedError, OutputConflictError, UsageError
from support import notebooks

pytestmark = pytest.mark.slow  # it serves several notebooks
NBSTEP = Path(sys.executable).with_name("nbstep")
SCALES = """
from nbstep_runner import serve
if factor == 0:
    raise ValueError("no factor")

@serve
def predict(x: float) -> dict[str, float]:
    print("scaling", x)
    if x < 0:
        raise ValueError("below zero")
    return {"y": x * factor}
"""


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    monkeypatch.chdir(tmp_path)
    notebooks.write(tmp_path / "scales.ipynb", [notebooks.Code("factor: float = 2.0", tags=("parameters",)), SCALES])
    yield
    for endpoint in json.loads(typed("endpoints", "--json").stdout):
        typed("delete", endpoint["endpoint"])


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NBSTEP, *arguments], capture_output=True, text=True, check=False, timeout=110)


def test_serve_endpoints_status_logs_delete(tmp_path: Path) -> None:
    done = typed("serve", "scales.ipynb", "-p", "factor=3", "--name", "scales")
    assert (done.returncode, done.stderr) == (0, "nbstep: scales is starting; `nbstep delete scales` ends it\n")
    found = re.fullmatch(r"scales: serving at (http://127\.0\.0\.1:\d+)\n", done.stdout)
    assert found is not None, done.stdout
    url = found[1]

    (told,) = json.loads(typed("endpoints", "--json").stdout)
    assert (told["endpoint"], told["state"], told["url"]) == ("scales", "running", url)
    done = typed("status", "scales")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"scales: running (serving at {url})\n", "")

    endpoint = nbstep.find("scales")
    assert isinstance(endpoint, nbstep.Endpoint)
    assert endpoint.predict(x=2) == {"y": 6.0}
    with pytest.raises(BadInputError, match="x: Expected `float`, got `str`"):
        endpoint.predict(x="2")
    with pytest.raises(CellFailedError, match="ValueError: below zero"):
        endpoint.predict(x=-1)
    assert "scaling 2.0" in typed("logs", "scales").stdout
    (row,) = json.loads(typed("list", "--json").stdout)
    assert (row["state"], row["serving"]["url"]) == ("running", url)

    done = typed("delete", "scales")
    assert (done.returncode, done.stdout, done.stderr) == (0, "scales: was ended and removed\n", "")
    assert [path for path in (tmp_path / "nbstep-runs").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "state").rglob("*.json")) == []
    with pytest.raises(EndpointUnavailableError):
        endpoint.predict(x=2)
    assert typed("status", "scales").returncode == 66


def test_a_notebook_that_fails_makes_serve_raise_its_error() -> None:
    with pytest.raises(CellFailedError, match="ValueError: no factor") as caught:
        nbstep.serve("scales.ipynb", {"factor": 0.0}, name="scales")
    assert "raise ValueError" in "".join(caught.value.__notes__)
    failed = nbstep.find("scales")
    assert isinstance(failed, nbstep.Endpoint)
    status = failed.status()
    assert (status.state, status.url) == (RunState.FAILED, "")
    done = typed("serve", "scales.ipynb", "-p", "factor=0", "--name", "scales")
    assert done.returncode == 10
    assert "nbstep: cell 2 raised ValueError: no factor\n" in done.stderr

    mended = nbstep.serve("scales.ipynb", {"factor": 5.0}, name="scales")
    assert mended.predict(x=1) == {"y": 5.0}
    assert nbstep.serve("scales.ipynb", {"factor": 5.0}, name="scales").url == mended.url
    with pytest.raises(OutputConflictError, match="serves another revision"):
        nbstep.serve("scales.ipynb", {"factor": 6.0}, name="scales")
    assert mended.predict(x=1) == {"y": 5.0}


def test_what_cannot_be_served_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = typed("serve", "scales.ipynb", "-p", "factr=3")
    assert done.returncode == 65
    assert "factor" in done.stderr
    with pytest.raises(UsageError, match="nothing can be served on 'memory'"):
        nbstep.serve("scales.ipynb", on="memory")
    with pytest.raises(UsageError, match="has no limit 'memory'"):
        nbstep.serve("scales.ipynb", limits={"memory": 1})
    with pytest.raises(BadInputError, match="more than 0"):
        nbstep.serve("scales.ipynb", limits={"concurrency": 0})
    assert not (tmp_path / "nbstep-runs").exists()


def test_a_dry_run_says_what_would_be_started(tmp_path: Path) -> None:
    done = typed("serve", "scales.ipynb", "--name", "scales", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"-m nbstep_runner\.cli --spec \S+/nbstep-runs/scales/revision-[0-9a-f]{10}/serving\.json", done.stdout
    )
    assert not (tmp_path / "nbstep-runs").exists()
