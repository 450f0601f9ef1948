"""``nbstep build`` as it is typed: with a real daemon, a real registry, and every builder that there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml

from servers.dockerd import Docker, pip_secrets
from servers.ports import require
from servers.registry import Registry
from support import notebooks
from support.containers import Container
from support.notebooks import Code

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(600)]

NBSTEP = str(Path(sys.executable).with_name("nbstep"))
BASH = {"name": "bash", "display_name": "Bash", "language": "bash"}
Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def build(docker: Docker, image: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """``nbstep build`` in a folder with a notebook, a module and requirements."""
    monkeypatch.chdir(work)
    notebooks.write(Path("train.ipynb"), [Code("n = 1", tags=("parameters",)), "import helper\nprint(helper.said(n))"])
    Path("requirements.txt").write_text("humanize==4.9.0\n")
    Path("helper.py").write_text("import humanize\ndef said(n): return humanize.ordinal(n) + ' in the image'\n")
    secrets = [f"--secret={name}={path}" for name, path in pip_secrets(docker.folder).items()]

    def run(
        *arguments: str, base: str = image, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [NBSTEP, "build", f"--base={base}", "--network=host", *secrets, *arguments]
        environment = os.environ | docker.environment | _path(docker) | dict(env or {})
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)

    return run


def _path(docker: Docker) -> dict[str, str]:
    return {"PATH": f"{Path(docker.client).parent}:{os.environ['PATH']}"}


def name_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_dry_run_says_what_would_be_built(docker: Docker, build: Build) -> None:
    done = build("train.ipynb", "--file=helper.py", "--dry-run")
    image, text = done.stdout.splitlines()[0].removeprefix("# image: "), done.stdout
    assert (done.returncode, done.stderr) == (0, "nbstep: with requirements.txt\n")
    assert "FROM nbstep-test-runner:slim\n" in text
    assert "USER 10001:10001\n" in text
    assert "#   requirements.txt  16 bytes  sha256:" in text
    assert "#   files/helper.py  " in text
    assert docker.call("image", "inspect", image, check=False).returncode != 0
    assert build("train.ipynb", "--file=helper.py", "--dry-run").stdout == text


def test_it_builds_once_and_the_notebook_runs_in_it(docker: Docker, build: Build, work: Path) -> None:
    image = name_of(build("train.ipynb", "--file=helper.py"))
    container = Container(docker, image, work, "/data/train.ipynb", "/data/out.ipynb", "-p", "n", "21")
    try:
        done = container.finish()
    finally:
        container.remove()
    assert (done.code, done.text(2)) == (0, "21st in the image\n")
    assert docker.inspect(image)["Config"]["User"] == "10001:10001"
    notebooks.write(Path("train.ipynb"), ["print('changed')"])
    again = build("train.ipynb", "--file=helper.py", "--json")
    assert json.loads(again.stdout)["built"] is False
    assert json.loads(again.stdout)["image"] == image
    assert docker.inspect(image)["Config"]["Labels"]["nbstep.inputs"] == json.loads(again.stdout)["inputs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("requirements.txt").write_text("humanize==4.8.0\n"),
        lambda: Path("helper.py").write_text("x = 1\n"),
        lambda: Path("helper.py").chmod(0o755),
    ],
    ids=["requirements", "content", "mode"],
)
def test_every_input_changes_the_name(build: Build, change: Callable[[], object]) -> None:
    before = build("train.ipynb", "--file=helper.py", "--dry-run").stdout.splitlines()[0]
    change()
    assert build("train.ipynb", "--file=helper.py", "--dry-run").stdout.splitlines()[0] != before


def test_another_base_of_the_same_name_changes_the_name(docker: Docker, image: str, build: Build) -> None:
    docker.call("tag", image, "nbstep-test-moving:1")
    before = build("train.ipynb", "--dry-run", base="nbstep-test-moving:1").stdout
    docker.call("build", "--tag=nbstep-test-moving:1", "-", input=f"FROM {image}\nLABEL changed=yes\n")
    after = build("train.ipynb", "--dry-run", base="nbstep-test-moving:1").stdout
    assert before.splitlines()[1:] == after.splitlines()[1:]
    assert before.splitlines()[0] != after.splitlines()[0]


def test_push(docker: Docker, build: Build, registry: Registry) -> None:
    wanted = ("train.ipynb", f"--name={registry.host}/team/train", "--push")
    image = name_of(build(*wanted))
    assert registry.manifest(image)["layers"]
    docker.call("image", "rm", image)
    again = build(*wanted)
    assert (again.returncode, again.stdout) == (0, f"{image}\n")
    assert "nothing was built" in again.stderr
    assert docker.call("image", "inspect", image, check=False).returncode != 0


def test_push_without_a_registry_is_said_in_words(build: Build) -> None:
    done = build("train.ipynb", "--name=127.0.0.1:1/team/train", "--push")
    assert (done.returncode, done.stdout) == (75, "")
    assert "nbstep: docker could not push 127.0.0.1:1/team/train:" in done.stderr
    assert "Traceback" not in done.stderr


def test_requirements_that_cannot_be_had(build: Build) -> None:
    Path("requirements.txt").write_text("no-such-package-of-anybody==1.2.3\n")
    done = build("train.ipynb")
    assert (done.returncode, done.stdout) == (65, "")
    assert "No matching distribution found for no-such-package-of-anybody==1.2.3" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("nbstep: docker could not build nbstep-train:")
    assert "Traceback" not in done.stderr


def test_a_base_that_cannot_be_had(build: Build) -> None:
    done = build("train.ipynb", base="127.0.0.1:1/no-such-base:1")
    assert (done.returncode, done.stdout) == (65, "")
    assert "nbstep: docker cannot get the base image 127.0.0.1:1/no-such-base:1\n" in done.stderr


def test_hashes_are_checked(build: Build) -> None:
    Path("requirements.lock").write_text(f"humanize==4.9.0 --hash=sha256:{'0' * 64}\n")
    done = build("train.ipynb")
    assert done.returncode == 65
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_the_kernel_that_the_notebook_names_is_installed(docker: Docker, build: Build, work: Path) -> None:
    notebooks.write(Path("shell.ipynb"), ["echo $((6 * 7))"], kernelspec=BASH)
    Path("requirements.txt").unlink()
    image = name_of(build("shell.ipynb"))
    container = Container(docker, image, work, "/data/shell.ipynb", "/data/out.ipynb")
    try:
        done = container.finish()
    finally:
        container.remove()
    assert (done.code, done.text(0)) == (0, "42\n")


@pytest.mark.parametrize("other", ["podman", "buildah"])
def test_other_builders_make_the_same_image_under_the_same_name(
    other: str, docker: Docker, image: str, build: Build, registry: Registry, tmp_path: Path
) -> None:
    require(other, other)
    base = f"{registry.host}/nbstep-base:1"
    docker.call("tag", image, base)
    docker.call("push", base)
    mine = name_of(build("train.ipynb", base=base))
    done = build("train.ipynb", f"--builder={other}", base=base, env=_containers(tmp_path, registry.host))
    assert name_of(done) == mine, done.stderr


def _containers(folder: Path, host: str) -> dict[str, str]:
    """Storage and registries of podman and buildah for this test alone; chroot needs no further namespace."""
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    return {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }


def test_a_job_for_a_cluster_holds_the_whole_context(build: Build, registry: Registry) -> None:
    arguments = ("train.ipynb", "--file=helper.py", f"--name={registry.host}/team/train", "--builder=job")
    done = build(*arguments, "--registry-secret=push", "--namespace=builds")
    assert done.returncode == 0, done.stderr
    assert "is known by its name only" in done.stderr
    config_map, job = yaml.safe_load_all(done.stdout)
    container = job["spec"]["template"]["spec"]["containers"][0]
    mounted = {mount["mountPath"]: mount.get("subPath") for mount in container["volumeMounts"]}
    assert set(config_map["binaryData"]) == {path for path in mounted.values() if path}
    assert {"/context/Dockerfile", "/context/requirements.txt", "/context/files/helper.py"} <= mounted.keys()
    assert config_map["metadata"] == job["metadata"]
    assert job["metadata"]["namespace"] == "builds"
    assert any(argument.endswith(",push=true") for argument in container["args"])
    with pytest.raises(HTTPError):
        registry.manifest(f"{registry.host}/team/train:{job['metadata']['name'].rpartition('-')[2]}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "an image needs a name"),
        (("train.ipynb", "--name=Bad Name"), "is not an image's name"),
        (("train.ipynb", "--name=image:tag"), "without a tag"),
        (("train.ipynb", "--apt=x; rm -rf /"), "is not the name of a Debian package"),
        (("train.ipynb", "--kernel=cobol"), "does not know how to install the kernel 'cobol'"),
        (("train.ipynb", "--secret=pip.conf"), "is not ID=PATH"),
    ],
)
def test_mistakes_are_said_in_words(build: Build, arguments: tuple[str, ...], message: str) -> None:
    done = build(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_builder_it_says_what_to_install(build: Build) -> None:
    done = build("train.ipynb", env={"PATH": str(Path(sys.executable).parent)})
    assert (done.returncode, done.stdout) == (2, "")
    assert "no builder of images is installed" in done.stderr
    assert "--builder job" in done.stderr


def test_no_secret_stays_in_the_image(docker: Docker, build: Build) -> None:
    secret = Path("pip.conf")
    secret.write_text(pip_secrets(docker.folder)["pip.conf"].read_text() + "# s3cr3t-of-the-index\n")
    Path("requirements.txt").write_text("humanize==4.7.0\n")
    image = name_of(build("train.ipynb", f"--secret=pip.conf={secret}"))
    saved = subprocess.run(
        docker.command("save", image), env=os.environ | docker.environment, capture_output=True, check=True
    )
    assert b"s3cr3t-of-the-index" not in saved.stdout
