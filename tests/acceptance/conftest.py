"""What acceptance tests share: the servers that the tests of stores start, and a launcher's place of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.fixtures import *  # noqa: F403 - fixtures are found by their names


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher's state, profiles and current folder are the test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    monkeypatch.chdir(tmp_path)
