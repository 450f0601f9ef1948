"""``nbstep stores URI`` on real servers: what they promise is what they were seen to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbstep.cli.main import group
from servers.s3 import S3Server

WEB = ("--allow-private-addresses",)


def _tried(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(group, ["stores", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


@pytest.mark.fault(66)
def test_apache_promises_neither(apache_folder: str) -> None:
    tried = _tried(apache_folder, *WEB)
    assert (tried["atomic_replace"], tried["conditional_write"], tried["verified"]) == (False, False, True)
    assert tried["damaged"] == "refused"


def test_a_gateway_to_s3_promises_all(gateway_folder: str) -> None:
    tried = _tried(gateway_folder)
    assert (tried["atomic_replace"], tried["conditional_write"], tried["verified"]) == (True, True, True)
    assert tried["damaged"] == "refused"
    assert set(tried["winners"]) == {1}  # type: ignore[call-overload]  # a list of numbers


def test_what_is_damaged_on_its_way_to_google_is_refused(gcs_folder: str) -> None:
    tried = _tried(gcs_folder)
    assert (tried["verified"], tried["damaged"]) == (True, "refused")


def test_a_server_without_checks_is_seen_to_take_what_is_damaged(
    s3_server: S3Server, s3_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint)
    monkeypatch.setattr(s3_server.strict, "verifies", False)
    assert _tried(s3_folder)["damaged"] == "found"


def test_a_folder_here_is_left_as_it_was(tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["stores", str(tmp_path)])
    assert done.exit_code == 0
    assert "conditional writes    yes" in done.output
    assert "one loses and says so (73)" in done.output
    assert list(tmp_path.iterdir()) == []
