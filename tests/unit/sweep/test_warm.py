"""What the runs of a sweep share is done before the first of them is forked, and can be forked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("nbconvert", reason="the html extra is not installed")

SCRIPT = """
import json, os, sys, threading
from nbstep_runner.contract import HtmlAllow, RunSpec, RunState, RunResult
from nbstep_runner.page import renderer
from nbstep_runner.sweep import worker
opened = set(os.listdir("/proc/self/fd"))
specs = [RunSpec(run_id=str(n), input_uri="a.ipynb", output_uri=f"{n}.ipynb", html=n > 0) for n in range(3)]
worker.warm_up(specs)
known, now = set(sys.modules), set(os.listdir("/proc/self/fd"))
notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
    {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "execution_count": 1, "outputs": []}]}
page = renderer(HtmlAllow.NOTHING).render(json.dumps(notebook).encode(), RunResult.blank(specs[1], str))
imported = sorted(set(sys.modules) - known)
print(json.dumps([len(os.listdir("/proc/self/task")), sorted(now - opened), imported, len(page.content)]))
"""


@pytest.mark.slow
def test_pages_too_are_prepared_and_nothing_is_left_that_a_fork_would_break() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, timeout=120, check=True)
    threads, opened, imported, size = json.loads(done.stdout)
    assert (threads, opened, imported) == (1, [], [])
    assert size > 1000
