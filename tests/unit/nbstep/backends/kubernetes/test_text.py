"""Manifests as text: what is text stays text, whoever reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbstep.backends.kubernetes.text import as_yaml

TESTCLUSTER = Path("/var/tmp/testcluster/bin")  # noqa: S108 - where it is
TEXTS = ["y", "N", "on", "~", "null", "1e3", "-1E+5", ".5", "1_000", "0o17", "0x1F", "012", "1:30", "2026-01-01", " a"]
TEXTS += ["", "a: b", "two\nlines\n", "two\nlines", "#", "'", '"', "é", "\x85", "100m", "=", "<<", "- a", "{a}", "\t"]


def test_it_reads_as_what_was_written() -> None:
    data = {str(number): text for number, text in enumerate(TEXTS)}
    objects: list[dict[str, Any]] = [{"kind": "ConfigMap", "data": data}, {"b": [1, True]}]
    assert list(yaml.safe_load_all(as_yaml(*objects))) == objects


def test_kubectl_reads_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(TESTCLUSTER), prepend=":")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    data = {f"k{number}": text for number, text in enumerate(TEXTS)}
    text = as_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    command = ["kubectl", "create", "--dry-run=client", "--validate=false", "--output", "json", "--filename", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["data"] == data
