"""The slim start of ipykernel hides nothing from user code, with the oldest supported ipykernel and with the newest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbstep_runner.kernel import slim_imports
from support import kernels
from support.runs import run

OLDEST = ("ipykernel==6.29.5", "nbclient", "nbformat")
FIRST = """
import importlib, importlib.util, os, pkgutil, sys, traceback
tried = []
spec = importlib.util.spec_from_file_location("_slim", sys.argv[1])
slim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(slim)
slim.load()
assert "jupyter_client.manager" not in sys.modules, "ipykernel does without it"

def import_first(name):
    module = importlib.import_module(name)
    assert module is sys.modules[name]
    assert module.__spec__.origin == module.__file__
    from jupyter_client import KernelManager
    from jupyter_client.manager import KernelManager as the_same
    assert KernelManager is the_same, "the module was executed twice"

def fails(do, name):
    pid = os.fork()
    if pid == 0:
        try:
            do(name)
        except BaseException:
            os._exit(traceback.print_exc() or 1) if do is import_first else os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] != 0

def import_usually(name):
    sys.meta_path.pop(0)  # the slim start's own finder
    del sys.modules["jupyter_client"]
    importlib.import_module(name)

path = importlib.util.find_spec("jupyter_client").submodule_search_locations
for name in [each.name for each in pkgutil.walk_packages(path, "jupyter_client.")]:
    if fails(import_first, name) and not fails(import_usually, name):
        print(name, "cannot be imported first")
    tried.append(name)
print(len(tried))
"""
IMPORTS = (
    "import jupyter_client.manager\nimport jupyter_client.ioloop\njupyter_client.manager.KernelManager",
    "import ipykernel, nbclient\nprint(ipykernel.version_info[0], nbclient.NotebookClient.__name__)",
    "%run no_such_script.py",
)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the oldest ipykernel."""
    folder = tmp_path_factory.mktemp("oldest") / "environment"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, timeout=120)
    python = folder / "bin/python"
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), *OLDEST]
    subprocess.run(install, check=True, timeout=300)
    return python


@pytest.fixture(params=["newest", "oldest"])
def python(request: pytest.FixtureRequest) -> Path:
    return Path(sys.executable) if request.param == "newest" else Path(request.getfixturevalue("oldest"))


def test_every_module_of_jupyter_client_can_be_imported_first(python: Path) -> None:
    command = [str(python), "-c", FIRST, str(slim_imports.__file__)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20, done.stdout + done.stderr


def test_a_kernel_of_that_ipykernel_runs(python: Path, tmp_path: Path) -> None:
    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    env = kernels.installed(tmp_path, "other", {**spec, "display_name": "Other"})
    done = run(tmp_path, list(IMPORTS), "-k", "other", env=env, cwd=tmp_path)
    version = subprocess.run(
        [str(python), "-c", "import ipykernel; print(ipykernel.version_info[0])"], capture_output=True, check=True
    )
    assert (done.code, done.states) == (10, ["succeeded", "succeeded", "failed"])
    assert done.text(1) == f"{json.loads(version.stdout)} NotebookClient\n"
