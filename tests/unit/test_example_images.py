"""What the examples' notebooks import is in the image that their pipelines name."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if path.name != "launcher.ipynb")
"""All but the one that starts the others, on the user's machine."""
ELSEWHERE = {"nbstep_runner", "nbstep", "flights_model"}
"""In every image, on the machine that starts runs, and written by the notebook itself."""
MAGIC = re.compile(r"^\s*[%!].*", re.MULTILINE)


@cache
def installed() -> Mapping[str, list[str]]:
    """The distributions that bring each top-level module."""
    return packages_distributions()


@cache
def locked() -> set[str]:
    """The distributions in the image for data science, which is built on the one with the runner's own."""
    files = (ROOT / "images/data-science.lock", ROOT / "requirements.lock")
    return {name for file in files for name in re.findall(r"^([a-z0-9-]+)==", file.read_text(), re.MULTILINE)}


def imported(notebook: Path) -> set[str]:
    """The top-level modules that a notebook imports; cells of another language, after a cell magic, import none."""
    found: set[str] = set()
    for cell in json.loads(notebook.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or source.startswith("%%"):
            continue
        for node in ast.walk(ast.parse(MAGIC.sub("pass", source))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - ELSEWHERE


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_imports_are_in_the_lock_of_the_image(notebook: Path) -> None:
    for module in imported(notebook):
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in installed()[module]}
        assert names & locked(), f"{module} of {notebook.name} is in no package of the image"
