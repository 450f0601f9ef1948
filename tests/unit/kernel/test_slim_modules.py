"""What a kernel's own interpreter executes of ours is understood by old ones too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from nbstep_runner import kernel

FOLDER = Path(kernel.__file__).parent
SLIM, FORKED = (3, 8), (3, 9)
"""The oldest Python of ipykernel 6.29, and the first that passes descriptors to another process, as a fork server does.

Names of types take no parameters at run time in the first.
"""
MODULES = [
    *((module, SLIM) for module in sorted(FOLDER.glob("slim_*.py"))),
    *((FOLDER / name, FORKED) for name in ("fork_server.py", "forked_kernel.py", "preload.py")),
]


@pytest.mark.parametrize(("module", "oldest"), MODULES, ids=[module.stem for module, _ in MODULES])
def test_an_old_python_understands_it(module: Path, oldest: tuple[int, int]) -> None:
    tree = ast.parse(module.read_text(), feature_version=oldest)
    assert any(isinstance(each, ast.ImportFrom) and each.module == "__future__" for each in tree.body)
    bases = [base for each in ast.walk(tree) if isinstance(each, ast.ClassDef) for base in each.bases]
    assert not any(isinstance(base, ast.Subscript) for base in bases)
