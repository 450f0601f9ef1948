"""``nbstep doctor`` and ``nbstep profiles``: what works is said, what does not comes with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NBSTEP = Path(sys.executable).with_name("nbstep")


def nbstep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NBSTEP_PROFILES": str(folder / "profiles.yaml")}
    return subprocess.run(
        [NBSTEP, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.slow
def test_a_place_that_works_is_told_part_by_part_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {here: {runs: runs}}\n")
    done = nbstep(tmp_path, "doctor", "--profile", "here", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    looked_at = ["profile", "runs folder", "clock of the store", "a small run", "runner", "kernel", "clock of the run"]
    assert list(found) == looked_at
    assert not any(each["remedy"] for each in found.values())
    assert found["kernel"]["words"].startswith("python3, Python 3.")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.slow
def test_what_does_not_work_comes_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {file: {runs: profiles.yaml/runs}, odd: {'on': nowhere}}\n")
    done = nbstep(tmp_path, "doctor", "--profile", "file")
    assert (done.returncode, done.stderr) == (78, "")
    *_, last = done.stdout.splitlines()
    assert last.startswith("no  runs folder")
    assert "is below something that is not a folder." in last
    assert last.endswith("Name another place.")
    assert "there is no backend 'nowhere'" in nbstep(tmp_path, "doctor", "--profile", "odd").stdout


def test_profiles_are_listed_and_checked(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {a: {runs: here}, b: {memori: 3}}\n")
    done = nbstep(tmp_path, "profiles")
    assert (done.returncode, done.stderr) == (65, "")
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["PROFILE", "ON", "RUNS", "IMAGE", "PROBLEM"]
    assert first.split() == ["a", "local", "here"]
    assert "unknown field `memori`" in second
    (tmp_path / "profiles.yaml").write_text("profiles: {a: {runs: here}}\n")
    assert nbstep(tmp_path, "profiles", "--json").returncode == 0
