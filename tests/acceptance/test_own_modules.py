"""A user's own modules beside a notebook are the notebook's alone, whatever they are called."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from support.notebooks import Code, write

BIN = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A notebook among modules that are named like all of the standard library and all that is installed here."""
    names = {name for name in (*sys.stdlib_module_names, *packages_distributions()) if name.isidentifier()}
    for name in names - {"antigravity", "this"}:
        (tmp_path / f"{name}.py").write_text("# mine\n")
    cells: list[str | Code] = [Code("a = 1", tags=("parameters",)), "print('answer', 41 + a)"]
    write(tmp_path / "in.ipynb", cells)
    return tmp_path


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    "command",
    [
        (BIN / "nbstep-runner", "in.ipynb", "out.ipynb"),
        (BIN / "nbstep", "run", "in.ipynb", "out.ipynb", "-p", "a", "2", "--html"),
        pytest.param((BIN / "nbstep", "submit", "in.ipynb", "--wait"), marks=pytest.mark.slow),
        pytest.param(
            (BIN / "nbstep", "sweep", "in.ipynb", "--grid", "a=1,2", "--output", "runs"), marks=pytest.mark.slow
        ),
    ],
    ids=lambda command: "-".join(str(Path(part).name) for part in command[:4]),
)
def test_they_do_not_shadow_ours(folder: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.fault(58)
def test_a_module_as_the_standard_library_has_it_does_not_shadow_python_m_nbstep(tmp_path: Path) -> None:
    """Python itself imports a few modules before ``-m`` comes to ours; those are not ours to guard."""
    for name in ("random", "tempfile", "click", "logging", "json", "uuid", "secrets"):
        (tmp_path / f"{name}.py").write_text("# mine\n")
    write(tmp_path / "in.ipynb", ["print(1)"])
    command = (sys.executable, "-m", "nbstep", "run", "in.ipynb", "out.ipynb")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.fault(58)
def test_a_step_of_a_chain_is_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("# mine\n")
    (tmp_path / "tempfile.py").write_text("# mine\n")
    write(tmp_path / "in.ipynb", ["print(1)"])
    program = "import nbstep; nbstep.chain([nbstep.notebook_step('in.ipynb')()], 'chain')"
    command = (sys.executable, "-P", "-c", program)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
