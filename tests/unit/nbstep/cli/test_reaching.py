"""How places are reached is said to every command that meets one, and no hint names a flag that the command lacks."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import nbstep_runner.stores
from nbstep.cli.main import group
from nbstep.cli.main import run as run_command
from nbstep_runner.cli.command import command as runner_command
from support import notebooks

FOLDER = "http://127.0.0.1:9/runs/"
NOTEBOOK = f"{FOLDER}x.ipynb"
REACHES = {
    "cancel": (NOTEBOOK,),
    "compare": (NOTEBOOK, NOTEBOOK),
    "compile": (NOTEBOOK, "--image", "image"),
    "delete": (NOTEBOOK,),
    "endpoints": ("--runs", FOLDER),
    "files": (NOTEBOOK,),
    "list": ("--runs", FOLDER),
    "logs": (NOTEBOOK,),
    "open": (NOTEBOOK,),
    "params": (NOTEBOOK,),
    "prune": ("--older-than", "1d", "--runs", FOLDER),
    "rerun": (NOTEBOOK,),
    "serve": (NOTEBOOK, "--on", "local"),
    "status": (NOTEBOOK,),
    "stores": (FOLDER,),
    "submit": (NOTEBOOK, "--on", "local"),
    "sweep": (NOTEBOOK, "--grid", "a=1,2", "--output", "out"),
    "tag": (NOTEBOOK,),
    "untag": (NOTEBOOK,),
    "wait": (NOTEBOOK,),
}
"""Every command that opens a store, as it is typed for one that may not be reached."""
REPORTS = ("doctor", "ui")
"""Commands that meet stores, and tell of one that may not be reached among other things."""
NOWHERE = {"build", "completion", "profiles", "server"}
"""Commands for files of this machine alone, one of which may say all of how a place is reached."""
FLAG = re.compile(r"--[a-z][a-z-]+")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    notebooks.write(tmp_path / "a.ipynb", ["1"])


def _flags(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def _command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def test_every_command_is_known_here() -> None:
    assert set(group.list_commands(click.Context(group))) == {*REACHES, *REPORTS, *NOWHERE, "run"}


@pytest.mark.parametrize("name", REACHES)
def test_a_refusal_names_a_flag_that_the_command_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command([name, *REACHES[name]])
    out, err = capsys.readouterr()
    assert (code, out) == (65, "")
    hinted = set(FLAG.findall(err))
    assert "--allow-private-addresses" in hinted
    assert hinted <= _flags(_command(name))


def test_what_stores_hint_at_is_an_option_of_all_that_reach_them() -> None:
    """Whatever a store may say: its own words are searched, not the cases that a test thinks of."""
    room = Path(nbstep_runner.stores.__file__).parent
    hinted = {flag for file in room.glob("*.py") for flag in FLAG.findall(file.read_text())}
    assert hinted >= {"--allow-private-addresses", "--endpoint-url"}
    for name in (*REACHES, *REPORTS):
        assert hinted <= _flags(_command(name)), name
    assert hinted <= _flags(runner_command)


@pytest.mark.parametrize("name", [*REACHES, *REPORTS])
def test_every_command_takes_what_the_runner_takes(name: str) -> None:
    reach = {"--endpoint-url", "--allow-private-addresses", "--known-hosts", "--identity-file", "--project"}
    assert reach <= _flags(_command(name))
    assert reach <= _flags(runner_command)
