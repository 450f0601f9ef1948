"""The service on one's own machine: what it serves follows from the profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbstep import Profile
from nbstep.profiles import overlaid
from nbstep.server.config import covers
from nbstep.server.config_file import NEVER_OPEN
from nbstep.server.here import config_here
from nbstep_runner.errors import UsageError


def test_the_runs_of_a_service_are_shown_by_the_service() -> None:
    team = overlaid(Profile(), {"on": "server", "server": "https://runs.example/nbstep"})
    with pytest.raises(UsageError, match="a service's, which has pages of its own") as caught:
        config_here(team, "team")
    assert caught.value.hint == "Open https://runs.example/nbstep/."
    with pytest.raises(UsageError, match="pages of its own"):
        config_here(Profile(runs="server://runs.example/nbstep/team"), None)


def test_a_profile_of_a_service_is_not_offered_for_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nbstep.yaml").write_text(
        "profiles: {team: {on: server, server: 'https://runs.example'}, small: {resources: {memory: 1Gi}}, "
        "far: {on: barn}}"
    )
    served = config_here(Profile(), None)
    names = ["default", "small", "far"]  # the last one's place is not installed here
    assert (list(served.profiles), served.folders["runs"].profiles) == (names, tuple(names))


def test_a_form_asks_for_what_a_profiles_place_heeds() -> None:
    on: dict[str, dict[str, Any]] = {
        "kubernetes": {"image": "run@sha256:1"},
        "docker": {"image": "run:1"},
        "local": {"resources": {"cpu": 1}},
    }
    opened = {name: config_here(overlaid(Profile(), {"on": name, **own}), name).open[name] for name, own in on.items()}
    assert {"env", "deadlines.run", "state"} <= set(opened["local"])
    assert "resources" not in opened["local"]
    assert {"image", "resources"} <= set(opened["docker"]) - {"retries"}
    assert {"image", "resources", "retries", "kubernetes.queue"} <= set(opened["kubernetes"])
    assert not any(covers(field, never) for fields in opened.values() for field in fields for never in NEVER_OPEN)
