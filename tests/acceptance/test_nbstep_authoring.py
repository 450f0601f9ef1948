"""``nbstep params``, ``tag``, ``untag``, ``stores`` and the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from nbstep.cli.main import group

NBSTEP = Path(sys.executable).with_name("nbstep")
ROOT = Path(__file__).parents[2]


def nbstep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NBSTEP, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tmp_path / "n.ipynb"
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title"]},
        {"cell_type": "code", "metadata": {}, "source": ["import os"], "outputs": [], "execution_count": None},
        {
            "cell_type": "code",
            "metadata": {},
            "source": ["n: int = 3  # how many"],
            "outputs": [],
            "execution_count": None,
        },
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n")
    return path


def test_tag_params_untag(notebook: Path) -> None:
    folder, before = notebook.parent, notebook.read_bytes()
    done = nbstep(folder, "params", "n.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nbstep tag n.ipynb" in done.stdout

    done = nbstep(folder, "tag", "n.ipynb", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Cell 2 is the parameters cell of n.ipynb.\n", "")

    done = nbstep(folder, "params", "n.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["NAME", "TYPE", "DEFAULT", "HELP"],
        ["n", "int", "3", "how", "many"],
    ]
    assert json.loads(nbstep(folder, "params", "n.ipynb", "--json").stdout)["parameters"][0]["default"] == 3
    assert json.loads(nbstep(folder, "params", "n.ipynb", "--schema").stdout)["properties"]["n"]["default"] == 3

    done = nbstep(folder, "untag", "n.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert notebook.read_bytes() == before


def test_tag_asks_and_changes_nothing_where_nobody_answers(notebook: Path) -> None:
    before = notebook.read_bytes()
    done = nbstep(notebook.parent, "tag", "n.ipynb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--cell 2" in done.stderr
    assert notebook.read_bytes() == before


@pytest.mark.parametrize(("cell", "words"), [("0", "not a code cell"), ("9", "there is no cell 9")])
def test_a_cell_that_cannot_be_tagged(notebook: Path, cell: str, words: str) -> None:
    done = nbstep(notebook.parent, "tag", "n.ipynb", "--cell", cell)
    assert (done.returncode, done.stdout) == (65, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_notebook_is_66(tmp_path: Path) -> None:
    done = nbstep(tmp_path, "params", "none.ipynb")
    assert (done.returncode, done.stdout) == (66, "")
    assert done.stderr.count("\n") == 2


def test_stores_lists_what_each_scheme_promises(tmp_path: Path) -> None:
    done = nbstep(tmp_path, "stores", "--json")
    schemes = {each["scheme"]: each for each in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (0, "")
    assert schemes["file"]["conditional_write"] is True
    assert "sftp://" in nbstep(tmp_path, "stores").stdout


def test_the_list_of_commands_says_what_each_command_says() -> None:
    for name, line in group.lines.items():
        found = group.get_command(group.make_context("nbstep", [], resilient_parsing=True), name)
        assert found is not None
        assert (found.name, found.get_short_help_str(limit=200).partition(":")[0].rstrip(".")) == (
            name,
            line.rstrip("."),
        )


@pytest.mark.parametrize("arguments", [["--help"], ["params", "notebooks/flights.ipynb"]])
def test_it_answers_at_once_because_of_what_it_does_not_import(arguments: list[str]) -> None:
    def imported(*command: str) -> set[str]:
        importing = [sys.executable, "-X", "importtime", *command]
        told = subprocess.run(importing, cwd=ROOT, check=True, capture_output=True, text=True).stderr
        return {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}

    own = imported("-m", "nbstep", *arguments) - imported("-c", "pass") - sys.stdlib_module_names
    foreign = {name for name in own if find_spec(name)}
    assert {"nbstep", "nbstep_runner"} <= foreign
    assert foreign <= {"nbstep", "nbstep_runner", "click", "msgspec", "typing_extensions"}
