"""A run on servers that others wrote, and the commands that look at it there: by their options, and by a profile's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from servers.every import Where
from servers.runner_on_store import CELLS
from support import notebooks

pytestmark = pytest.mark.slow

NBSTEP = Path(sys.executable).with_name("nbstep")


@pytest.fixture(params=["versitygw", "rclone-s3", "rclone-dav", "rclone-sftp"])
def where(request: pytest.FixtureRequest) -> Where:
    """Each server in turn."""
    return Where.on(request.param, request.getfixturevalue)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")


def typed(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([NBSTEP, *arguments], capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout, done.stderr


def test_a_run_is_made_and_looked_at_and_deleted_with_the_same_options(where: Where) -> None:
    notebooks.write(Path("in.ipynb"), CELLS)
    output = f"{where.folder}r1/output.ipynb"
    code, out, _ = typed("run", "in.ipynb", output, "-p", "name", "Ada", "--json", *where.flags)
    assert (code, json.loads(out)["state"]) == (0, "succeeded")
    code, out, err = typed("list", "--runs", where.folder, *where.flags)
    assert (code, err) == (0, "")
    assert "succeeded" in out
    code, out, err = typed("status", output, *where.flags)
    assert (code, err) == (0, "")
    assert "succeeded" in out
    code, out, err = typed("logs", output, *where.flags)
    assert (code, err) == (0, "")
    assert "Ada has 2 rows" in out
    assert typed("wait", output, *where.flags)[0] == 0
    code, _, err = typed("delete", output, *where.flags)
    assert code == 0, err
    assert list(where.store().list(where.folder)) == []


def test_a_profile_says_how_its_place_is_reached(apache_folder: str) -> None:
    profiles = {"default": {"runs": apache_folder, "storage": {"allow_private_addresses": True}}}
    Path("profiles.yaml").write_text(json.dumps({"profiles": profiles}))
    notebooks.write(Path("in.ipynb"), CELLS)
    flag = "--allow-private-addresses"
    assert typed("run", "in.ipynb", f"{apache_folder}r1/output.ipynb", flag)[0] == 0
    for command in (("list",), ("status", "r1"), ("logs", "r1"), ("wait", "r1"), ("compare", "r1", "r1")):
        code, _, err = typed(*command, "--profile", "default")
        assert (code, err) == (0, "")
