"""What ``import nbstep`` offers."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import nbstep
from nbstep import _HOMES


@pytest.mark.parametrize("name", nbstep.__all__)
def test_a_public_name_is_never_a_module(name: str) -> None:
    import_module(f"nbstep.{_HOMES[name]}")  # which puts the module into the package, under its own name
    assert not isinstance(getattr(nbstep, name), ModuleType)


def test_whoever_submits_a_run_without_parameters_waits_for_no_library_that_others_need() -> None:
    code = "import nbstep.api, sys; from nbstep_runner.parameters import dump_yaml; dump_yaml({}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not {"nbconvert", "nbstep.runs.history", "nbstep_runner.page", "rich", "yaml"} & set(done.stdout.split())
