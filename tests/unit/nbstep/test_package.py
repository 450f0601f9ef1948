"""What ``import nbstep`` offers."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

import nbstep
from nbstep import _HOMES


@pytest.mark.parametrize("name", nbstep.__all__)
def test_a_public_name_is_never_a_module(name: str) -> None:
    import_module(f"nbstep.{_HOMES[name]}")  # which puts the module into the package, under its own name
    assert not isinstance(getattr(nbstep, name), ModuleType)
