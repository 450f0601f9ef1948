"""``nbstep doctor`` of a cluster: what it says is what a run would find."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from servers.cluster import Api, Launcher

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

NBSTEP = Path(sys.executable).with_name("nbstep")


def doctor(launcher: Launcher, monkeypatch: pytest.MonkeyPatch, *options: str, **kubernetes: Any) -> tuple[int, Any]:
    """The exit code, and what was found by the names of what was looked at."""
    place = launcher.usual(kubernetes, {})
    fields = ("runs", "on", "image", "env", "resources", "retries")
    profile = {name: place[name] for name in fields} | place["options"]
    file = launcher.folder / "profiles.yaml"
    file.write_text(json.dumps({"profiles": {"cluster": profile}}))
    monkeypatch.setenv("NBSTEP_PROFILES", str(file))
    command = [str(NBSTEP), "doctor", "--profile", "cluster", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.stderr == ""
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)}


def test_a_cluster_that_works_is_told_part_by_part_and_left_as_it_was(
    launcher: Launcher, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = doctor(launcher, monkeypatch)
    assert (code, list(found)) == (0, ["profile", "runs folder", "clock of the store", "kubernetes"])
    assert found["kubernetes"]["words"].startswith("Jobs may be created in ")
    assert found["kubernetes"]["words"].endswith(f"/{cluster.namespace}")

    code, found = doctor(launcher, monkeypatch, "--deep")
    assert list(found)[-4:] == ["a small run", "runner", "kernel", "clock of the run"]
    assert found["a small run"]["words"].endswith("it wrote to the runs folder from there")
    runner = found.pop("runner")  # the image of these tests holds our sources alone, which know no version
    assert runner["words"].endswith(f" there, {version('nbstep')} here")
    assert code == (78 if runner["remedy"] else 0)
    assert not any(each["remedy"] for each in found.values())
    assert cluster.get("jobs")["items"] == []
    kept = launcher.bucket.server.client().list_objects_v2(Bucket="runs", Prefix="k8s/doctor")
    assert kept["KeyCount"] == 0


def test_what_a_cluster_does_not_have_comes_with_what_to_do(
    launcher: Launcher, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = doctor(launcher, monkeypatch, namespace="nbstep-is-not-there")
    assert (code, list(found)[-1]) == (78, "kubernetes")
    assert "nbstep-is-not-there" in found["kubernetes"]["words"]
    assert found["kubernetes"]["remedy"]

    without = replace(launcher, image="localhost/no-such-image:1")
    code, found = doctor(without, monkeypatch, "--deep", start_seconds=5)
    assert (code, list(found)[-1]) == (78, "a small run")
    assert "no-such-image" in found["a small run"]["words"]
    assert found["a small run"]["remedy"]
    assert cluster.get("jobs")["items"] == []
