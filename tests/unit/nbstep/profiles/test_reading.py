"""Where profiles are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbstep.profiles import load_profile


@pytest.mark.parametrize("home", ["~", f"/{'x' * 300}"])
def test_a_home_that_is_none_or_may_not_be_looked_at_holds_no_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBSTEP_PROFILES", raising=False)
    monkeypatch.setenv("HOME", home)
    assert load_profile(None, {}).on == "local"
