"""A submitted run brings its requirements: an image with them is built once, here or for a registry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbstep import submit
from nbstep.images.requirements import read_requirements
from nbstep.images.run_image import run_image
from nbstep.profiles import load_profile
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError
from servers.dockerd import Docker, pip_secrets
from servers.registry import Registry
from support import notebooks

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

NBSTEP = str(Path(sys.executable).with_name("nbstep"))
WAIT = 60.0
SECOND = "import humanize\nprint(humanize.ordinal(2))"


@pytest.fixture(autouse=True)
def _builder(docker: Docker, monkeypatch: pytest.MonkeyPatch, daemon: None) -> None:
    del daemon
    monkeypatch.setenv("PATH", f"{Path(docker.client).parent}:{os.environ['PATH']}")
    Path("requirements.txt").write_text("humanize==4.9.0\n")
    notebooks.write(Path("train.ipynb"), [SECOND])


@pytest.fixture
def options(docker: Docker) -> dict[str, Any]:
    """A profile's fields: the run without a network, its build with the machine's own."""
    secrets = {name: str(path) for name, path in pip_secrets(docker.folder).items()}
    return {"docker": {"network": "none"}, "build": {"network": "host", "secrets": secrets}}


def images(docker: Docker, repository: str) -> list[str]:
    return docker.call("images", "--quiet", "--no-trunc", repository).stdout.split()


def test_a_changed_notebook_builds_nothing_and_changed_requirements_do(
    docker: Docker, image: str, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    def result(requirements: object, *cells: str) -> tuple[RunState, str, bool]:
        notebooks.write(Path("train.ipynb"), cells)
        run = submit("train.ipynb", on="docker", image=image, options=options, requirements=requirements)  # type: ignore[arg-type]  # options are of several types
        built = "nbstep-train:" in capfd.readouterr().err  # a builder tells the name of what it has made
        record = run.wait(WAIT)
        assert record.environment is not None
        return record.state, str(record.environment.image), built

    state, first, built = result("requirements.txt", SECOND)
    assert (state, built) == (RunState.SUCCEEDED, True)
    assert first.startswith("nbstep-train:")
    again = result("requirements.txt", "import humanize\nassert humanize.__version__ == '4.9.0'")
    assert again == (RunState.SUCCEEDED, first, False)
    other = result(["humanize==4.8.0"], "import humanize\nassert humanize.__version__ == '4.8.0'")
    assert (other[0], other[1] != first, other[2]) == (RunState.SUCCEEDED, True, True)
    assert docker.inspect(first)["Id"] != docker.inspect(other[1])["Id"]


def test_a_dry_run_builds_nothing_and_names_the_image_that_the_run_takes(
    docker: Docker, image: str, options: dict[str, Any]
) -> None:
    notebooks.write(Path("dry.ipynb"), [SECOND])
    arguments = ("--on=docker", f"--image={image}", "--requirements=requirements.txt", "--set=docker.network=none")
    fields = [f"--set=build.network={options['build']['network']}"]
    fields += [f"--set=build.secrets={options['build']['secrets']}".replace("'", '"')]
    dry = subprocess.run(
        [NBSTEP, "submit", "dry.ipynb", *arguments, *fields, "--dry-run"], capture_output=True, text=True, check=False
    )
    planned = run_image("dry.ipynb", read_requirements("requirements.txt"), profile(image, options), publish=False).name
    assert (dry.returncode, dry.stderr) == (0, f"nbstep: the image {planned} would be built if it is not there\n")
    assert f"Image: {planned}\n" in dry.stdout
    assert images(docker, "nbstep-dry") == []
    done = subprocess.run(
        [NBSTEP, "submit", "dry.ipynb", *arguments, *fields, "--wait"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("docker://dry-")
    assert "2nd" in done.stderr
    assert docker.inspect(planned)


def profile(image: str, options: dict[str, Any], **more: Any) -> Any:
    return load_profile(None, {"on": "docker", "image": image, **options, **more})


def test_requirements_that_cannot_be_had_leave_nothing_behind(image: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="docker could not build nbstep-train:"):
        submit(
            "train.ipynb", on="docker", image=image, options=options, requirements=["no-such-package-of-anybody==1.2.3"]
        )
    assert not Path("nbstep-runs").exists()


def test_a_cluster_gets_it_from_the_registry(
    docker: Docker, image: str, options: dict[str, Any], registry: Registry
) -> None:
    build = options["build"] | {"repository": f"{registry.host}/team/submitted"}
    wanted = profile(image, options | {"build": build}, on="kubernetes")
    planned = run_image("train.ipynb", read_requirements("requirements.txt"), wanted, publish=True)
    assert planned.provide() is True
    assert registry.manifest(planned.name)["layers"]
    docker.call("image", "rm", planned.name, check=False)
    assert planned.provide() is False
    assert docker.call("image", "inspect", planned.name, check=False).returncode != 0


def test_in_jupyter_the_builders_words_come_to_its_stderr(
    image: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """There ``sys.stderr`` is no file, as under ``capsys``."""
    options["build"]["repository"] = "nbstep-jupyter"
    requirements = read_requirements(["humanize==4.6.0"])  # of no other test: what is cached is not told
    planned = run_image("train.ipynb", requirements, profile(image, options), publish=False)
    assert planned.provide() is True
    assert "humanize==4.6.0" in capsys.readouterr().err
