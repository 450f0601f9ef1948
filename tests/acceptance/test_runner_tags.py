"""Cells are run, or skipped, by their tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.notebooks import Code, Text
from support.runs import run

CELLS = [
    Text("# Title"),
    Code("a = 1", tags=("parameters",)),
    Code("print('slow', a)", tags=("slow", "train")),
    Code("print('fast', a)", tags=("train",)),
    "print('plain', a)",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "states"),
    [
        (("--skip-tag", "slow"), ["succeeded", "succeeded", "skipped", "succeeded", "succeeded"]),
        (("--only-tag", "train"), ["succeeded", "succeeded", "succeeded", "succeeded", "skipped"]),
        (("--only-tag", "train", "--skip-tag", "slow"), ["succeeded", "succeeded", "skipped", "succeeded", "skipped"]),
    ],
)
def test_cells_run_by_their_tags_and_parameters_always_do(
    tmp_path: Path, options: tuple[str, ...], states: list[str]
) -> None:
    done = run(tmp_path, CELLS, "-p", "a", "2", *options)
    assert (done.code, done.stderr, done.states, done.record["warnings"]) == (0, "", states, [])
    assert done.text(4) == "fast 2\n"
    assert [cell.metadata.get("tags", []) for cell in done.notebook.cells[3:5]] == [["slow", "train"], ["train"]]


@pytest.mark.slow
def test_a_misspelt_tag_runs_nothing_and_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, CELLS, "--only-tag", "trian")
    assert (done.code, done.states) == (65, [])
    assert done.error["message"] == "no code cell has the tag 'trian'"
    skipped = run(tmp_path, CELLS, "--skip-tag", "sloow", output="skipped.ipynb")
    assert skipped.code == 0
    assert skipped.record["warnings"] == ["no code cell has the tag 'sloow', which was to be skipped"]
