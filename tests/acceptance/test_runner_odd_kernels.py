"""A run whose kernel breaks the protocol ends in time and truthfully: nothing unfinished is called finished."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

from support import kernels, odd_kernel
from support.notebooks import write
from support.runs import Done, run

pytestmark = pytest.mark.slow


def ran(folder: Path, how: str) -> Done:
    """A cell in an odd kernel, which reads how to be odd from its source, and a cell after it."""
    argv = [sys.executable, odd_kernel.__file__, "{connection_file}"]
    spec = {"name": "odd", "display_name": "odd", "language": "odd"}
    environment = kernels.installed(folder, "odd", {"argv": argv, "display_name": "odd", "language": "odd"})
    source = write(folder / "in.ipynb", [how, "well"], kernelspec=spec)
    done = run(folder, source, env=environment)
    nbformat.validate(done.notebook)
    return done


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("how", "printed"),
    [
        ("idle before it is done", ["more"]),
        ("never idle", []),
        ("messages of no type that is known", []),
        ("bytes that are no text", ["\N{REPLACEMENT CHARACTER}"]),
        ("frames that are no message", []),
        ("a message that another signed", []),
    ],
)
def test_what_can_be_understood_is_kept(tmp_path: Path, how: str, printed: list[str]) -> None:
    done = ran(tmp_path, how)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert [each.text for each in done.cells[0].outputs] == printed


@pytest.mark.fault(77)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("two replies", "cell 0 raised E: late"),
        ("no reply", "the kernel is done with cell 0 and has not said how it ended"),
        ("a reply without a status", "cell 0 failed, and its kernel does not say why"),
        ("an error with wrong types", "cell 0 raised E"),
    ],
)
def test_what_nobody_called_a_success_is_none(tmp_path: Path, how: str, message: str) -> None:
    done = ran(tmp_path, how)
    assert (done.code, done.states) == (10, ["failed", "not_run"])
    assert done.error["message"] == message
