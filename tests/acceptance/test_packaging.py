"""The distribution: what it holds, and that a user's own packages and ours do not shadow each other."""

from __future__ import annotations

import json
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = {"nbstep": ROOT / "pipelines", "nbstep_runner": ROOT / "runner"}
COMMANDS = ("nbstep", "nbstep-runner")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(target: str, source: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module", params=["wheel", "editable"])
def environment(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with nbstep alone; it borrows the dependencies of this one, whose nbstep it does not see."""
    home = tmp_path_factory.mktemp(request.param)
    venv.create(home, symlinks=True)
    (purelib,) = home.glob("lib/python*/site-packages")
    (purelib / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    distribution = ["--no-build-isolation", "--editable", str(ROOT)] if request.param == "editable" else [str(wheel)]
    install: list[str | Path] = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        home / "bin/python",
    ]
    run(*install, *distribution, cwd=home)
    return home


@pytest.fixture(params=[True, False], ids=["packages", "namespace packages"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A user's repository that has folders of the same names as our source roots."""
    for name in ("pipelines", "runner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"WHO = 'the user, {name}'\n")
        if request.param:
            (tmp_path / name / "__init__.py").touch()
    return tmp_path


WHERE = """
import json, nbstep, nbstep_runner, pipelines.mine, runner.mine
print(json.dumps([nbstep.__file__, nbstep_runner.__file__, pipelines.mine.WHO, runner.mine.WHO]))
"""


@pytest.mark.parametrize("arguments", [["-c", WHERE], ["where.py"]], ids=["-c", "script"])
def test_a_users_pipelines_and_runner_live_beside_ours(environment: Path, project: Path, arguments: list[str]) -> None:
    (project / "where.py").write_text(WHERE)
    launcher, runner, *users = json.loads(run(environment / "bin/python", *arguments, cwd=project))
    ours = (SOURCES["nbstep"], SOURCES["nbstep_runner"]) if "editable" in environment.name else (environment,) * 2
    assert Path(launcher).is_relative_to(ours[0])
    assert Path(runner).is_relative_to(ours[1])
    assert users == ["the user, pipelines", "the user, runner"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_start_in_a_users_project(environment: Path, project: Path, command: str) -> None:
    assert command in run(environment / "bin" / command, "--help", cwd=project)


def test_papermill_finds_our_engine(environment: Path, tmp_path: Path) -> None:
    code = "from papermill.engines import papermill_engines as known; known.register_entry_points(); "
    code += "print(known.get_engine('nbstep'))"
    assert "NbstepEngine" in run(environment / "bin/python", "-c", code, cwd=tmp_path)


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_two_packages_whole_and_nothing_else(wheel: Path) -> None:
    held = {name for name in names(wheel) if ".dist-info/" not in name}
    expected = {
        path.relative_to(root).as_posix()
        for package, root in SOURCES.items()
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == expected
    assert {"nbstep/py.typed", "nbstep_runner/py.typed"} <= held


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    (licence,) = (name for name in names(wheel) if name.endswith(".dist-info/licenses/LICENSE"))
    assert zipfile.ZipFile(wheel).read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_source_distribution_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(sdist, tmp_path)
    (source,) = tmp_path.iterdir()
    assert names(build("wheel", source, tmp_path / "dist")) == names(wheel)
