"""``nbstep run``: what is imported before the runner is started delays it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from nbstep.backends.local import process
from nbstep.cli import run

class Child(process.Child):
    def __enter__(self):
        print(*({"rich", "msgspec", "nbstep_runner.contract.result"} & set(sys.modules)), file=sys.stderr)
        return super().__enter__()

run.Child = Child
sys.exit(CALL)
"""


@pytest.mark.parametrize(
    "call",
    [
        "run._watched(['--no-such-option'], program='nbstep run')",
        "run._recorded(['--no-such-option'], 'console', program='nbstep run', log_to_stderr=True)[1]",
    ],
)
def test_the_runner_is_started_before_what_shows_its_run_is_imported(call: str) -> None:
    command = [sys.executable, "-c", PROGRAM.replace("CALL", call)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == ""
