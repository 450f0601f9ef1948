"""What the README and docs/images.md show works as typed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from servers.dockerd import Docker
from support import invariants, notebooks
from support.notebooks import Code

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/images.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", [PAGE, README], ids=["images", "readme"])
def test_the_container_example(docker: Docker, image: str, work: Path, page: str) -> None:
    (line,) = re.findall(r"^    (docker run .+)$", page, re.MULTILINE)
    notebooks.write(work / "train.ipynb", [Code("n = 1", tags=("parameters",)), "print('n is', n)"])
    (work / "params.yaml").write_text("n: 7\n")
    typed = line.replace("docker run", f"{docker.client} run --network=none").replace("nbstep-runner:slim", image)
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=work,
        env=os.environ | docker.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert invariants.violations(work / "out.ipynb", code=0) == []
    assert (work / "out.ipynb").stat().st_uid == os.getuid()
    assert "n is 7" in (work / "out.ipynb").read_text()


def test_an_image_that_builds_on_it(docker: Docker, image: str, work: Path) -> None:
    example = PAGE.split("## Building on it by hand")[1].split("\n## ")[0]
    lines = [line[4:] for line in example.splitlines() if line.startswith("    ")]
    assert [line.split()[0] for line in lines] == ["FROM", "USER", "RUN", "USER"]
    (folder := work / "none").mkdir()
    wheel = folder / "greeting-1-py3-none-any.whl"
    _write_wheel(wheel)
    text = "\n".join(lines).replace("nbstep-runner:slim", image).replace("lightgbm", f"--no-index /{wheel.name}")
    (folder / "Dockerfile").write_text(text.replace("RUN", f"COPY {wheel.name} /\nRUN"))
    docker.call("build", "--network=none", "--tag=nbstep-test-derived", folder)
    found = docker.call(
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=python",
        "nbstep-test-derived",
        "-c",
        "import greeting, os; print(os.getuid())",
    )
    assert found.stdout == "10001\n"


def _write_wheel(path: Path) -> None:
    import zipfile

    info = "greeting-1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greeting.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"greeting.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
