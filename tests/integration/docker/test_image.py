"""What the image is: its size, its user, its metadata."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servers.docker_fixtures import IMAGE
from servers.dockerd import Docker
from support import notebooks
from support.notebooks import Code

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[3]
LARGEST = 300e6


def in_image(docker: Docker, image: str, *command: str) -> str:
    """What a command prints in a container that holds as few rights as possible."""
    rights = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL")
    return docker.call("run", *rights, f"--entrypoint={command[0]}", image, *command[1:]).stdout


@pytest.mark.timeout(900)
def test_it_is_small(docker: Docker, image: str) -> None:
    assert docker.inspect(image)["Size"] < LARGEST


def test_what_orchestrators_read(docker: Docker, image: str) -> None:
    configuration = docker.inspect(image)["Config"]
    assert configuration["User"] == "10001:10001"
    assert configuration["Entrypoint"] == ["nbstep-runner"]
    assert not configuration["Cmd"]
    assert set(configuration["Volumes"]) == {"/home/nbstep", "/tmp"}  # noqa: S108 - the image's, not ours
    assert configuration["WorkingDir"] == "/home/nbstep"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in configuration["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision", "base.name"} <= labels.keys()
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert labels["version"] == version[1]


def _normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", requirement.partition("==")[0]).lower() + "==" + requirement.partition("==")[2]


def test_every_locked_package_is_there_in_its_locked_version(docker: Docker, image: str) -> None:
    code = """
import sys
from importlib.metadata import distributions
found = distributions(path=[*sys.path, "/opt/nbstep/share/trimmed"])
print(*(f"{one.name}=={one.version}" for one in found), sep="\\n")
"""
    installed = {_normal(line) for line in in_image(docker, image, "python", "-c", code).splitlines()}
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([\w.-]+==[\w.!+-]+)( ; .+)? \\$", lock, re.MULTILINE)
    everywhere = {_normal(name) for name, marker in pinned if not marker}
    assert len(everywhere) > 50
    assert everywhere <= installed
    others = installed - {_normal(name) for name, _ in pinned}
    assert {line.partition("==")[0] for line in others} == {"nbstep"}


def test_every_module_that_runs_use_is_compiled_and_no_part_of_it_can_be_written(docker: Docker, image: str) -> None:
    code = """
import importlib.util, pathlib, os, sys, sysconfig
packages = next(pathlib.Path(sys.prefix, 'lib').glob('*/site-packages'))
modules = [path for path in packages.rglob('*.py') if path.relative_to(packages).parts[0] != 'pip']
missing = [m for m in modules if not pathlib.Path(importlib.util.cache_from_source(m)).exists()]
standard = pathlib.Path(sysconfig.get_path('stdlib'), 'json/__init__.py')
print(len(modules) > 1000, len(missing) < 10, pathlib.Path(importlib.util.cache_from_source(standard)).exists())
print(*(path for path in ('/opt/nbstep/lib', '/etc', '/') if os.access(path, os.W_OK)))
"""
    assert in_image(docker, image, "python", "-c", code) == "True True True\n\n"


def test_what_a_first_page_compiles_is_there(docker: Docker, image: str) -> None:
    code = """
from importlib.util import cache_from_source
from pathlib import Path
from nbstep_runner.page import kept
found = kept.Kept(Path(cache_from_source(kept.__file__)).with_suffix('.kept'))
print(len(found.patterns) > 200, len(found.templates) > 5)
"""
    assert in_image(docker, image, "python", "-c", code) == "True True\n"


def test_pip_installs_into_the_environment_that_notebooks_use(docker: Docker, image: str) -> None:
    where = in_image(docker, image, "pip", "--version")
    assert "/opt/nbstep/lib/" in where


def test_botocore_is_there_for_s3_and_pip_takes_it_for_missing(docker: Docker, image: str) -> None:
    """So that whoever installs boto3 gets a whole one."""
    code = """
import botocore.session
session = botocore.session.get_session()
services = session.get_available_services()
for name in services:
    session.create_client(name, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
print(*services)
"""
    assert in_image(docker, image, "python", "-c", code) == "s3 signin sso sso-oidc sts\n"
    rights = ("--rm", "--network=none", "--user=0", "--entrypoint=pip")
    asked = docker.call("run", *rights, image, "install", "--no-index", "botocore", check=False)
    assert asked.returncode == 1
    assert "No matching distribution found for botocore" in asked.stderr
    assert "LICENSE.txt" in in_image(docker, image, "find", "/opt/nbstep/share/trimmed", "-name", "LICENSE*")


def test_nothing_of_the_build_is_left(docker: Docker, image: str) -> None:
    history = docker.call("history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout
    assert "pip.conf" not in history
    paths = "find / -xdev ( -path /root/.cache/pip -o -path /build -o -path /src -o -name ca.pem -o -name pip.conf )"
    found = docker.call("run", "--rm", "--network=none", "--user=0", "--entrypoint=find", image, *paths.split()[1:])
    assert found.stdout == ""


def test_the_classic_image_is_lenient_towards_unknown_parameters(docker: Docker, image: str, work: Path) -> None:
    assert image == IMAGE
    docker.build("nbstep-test-runner:classic", target="classic")
    notebooks.write(work / "in.ipynb", [Code("n = 1", tags=("parameters",)), "print(n)"])
    (work / "params.yaml").write_text("n: 2\nUNDECLARED: 3\n")
    paths = [f"/data/{name}" for name in ("in.ipynb", "out.ipynb", "params.yaml")]
    arguments = ("run", "--rm", "--network=none", f"--volume={work}:/data")
    assert docker.call(*arguments, image, *paths, check=False).returncode == 65
    assert docker.call(*arguments, "nbstep-test-runner:classic", *paths).returncode == 0


@pytest.mark.timeout(900)
def test_the_image_of_endpoints_has_what_most_notebooks_import_and_what_serving_takes(
    docker: Docker, image: str
) -> None:
    """The image for data science, which it builds on by its lock, is built by the tests of examples."""
    assert image == IMAGE
    name = "nbstep-test-runner:serving"
    docker.build(name, target="serving")
    modules = "matplotlib.pyplot, numpy, pandas, pyarrow, scipy.stats, seaborn, sklearn.ensemble, xgboost, fsspec, s3fs"
    modules += ", starlette, uvicorn, httptools, kubernetes.client, nbstep.endpoints.step, nbstep_runner.serving.server"
    rights = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL")
    done = docker.call("run", *rights, "--entrypoint=python", name, "-c", f"import {modules}; print('all')")
    assert (done.stdout, done.stderr) == ("all\n", "")


@pytest.mark.timeout(900)
def test_the_image_of_a_server_says_what_a_cluster_needs_for_it(docker: Docker, image: str) -> None:
    assert image == IMAGE
    name = "nbstep-test-runner:server"
    docker.build(name, target="server")
    rights = ("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL")
    done = docker.call(*rights, name, "--manifest")
    assert ("kind: Deployment" in done.stdout, done.stderr) == (True, "")
    docker.call(*rights, "--entrypoint=python", name, "-c", "import nbstep.server.team.cluster")
