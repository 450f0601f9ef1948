"""What all tests of the service have in common."""

from __future__ import annotations

import pytest

from nbstep.server import index, standings


@pytest.fixture(autouse=True)
def answers_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what takes long would be told of as it was before."""
    monkeypatch.setattr(index, "QUICK_SECONDS", 600.0)
    monkeypatch.setattr(index, "PATIENCE_SECONDS", 120.0)
    monkeypatch.setattr(standings, "PATIENCE_SECONDS", 120.0)
