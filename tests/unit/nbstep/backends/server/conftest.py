from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import notebooks
from support.service import TOKEN, config, listening
from support.through_service import CELLS, Team


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_TOKEN", TOKEN)
    notebooks.write(Path("train.ipynb"), CELLS)
    runs = f"memory://{secrets.token_hex(4)}/runs"
    profiles = {
        "small": {"on": "memory", "retries": 4, "open": ["resources.memory", "retries"]},
        "other": {"on": "memory"},
    }
    served = config(
        folders={"team": {"uri": runs, "profiles": ["small", "other"]}}, profiles=profiles, notebooks=[str(tmp_path)]
    )
    with listening(served) as (url, _):
        yield Team(url, runs)
