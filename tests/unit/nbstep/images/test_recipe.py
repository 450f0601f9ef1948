"""Dockerfiles, the names that follow from their inputs, and the Job that builds them."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.images.builders import Builder
from nbstep.images.context import EXECUTABLE, PLAIN, entry, input_digest, working_files, write_context
from nbstep.images.job import manifests
from nbstep.images.plan import BuildPlan, ImageRequest, plan, requirements_beside
from nbstep.images.recipe import KERNELS, Recipe
from nbstep_runner.errors import BadInputError, InputNotFoundError, UsageError

BASE = "registry/team/base:1"
PINNED = f"{BASE}@sha256:{'a' * 64}"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(**wanted: object) -> BuildPlan:
    return plan(ImageRequest(**({"name": "image", "base": PINNED} | wanted)), lambda _: None)  # type: ignore[arg-type]  # any field of any type


def test_the_whole_of_it() -> None:
    text = Recipe(base=BASE, requirements=True, hashed=True, apt=("libgomp1",), kernel="bash", files=True).dockerfile()
    pip = (
        "RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem "
        "--mount=type=cache,target=/var/cache/nbstep-pip \\\n"
        "    pip install --disable-pip-version-check --root-user-action=ignore --cache-dir=/var/cache/nbstep-pip "
    )
    assert text == (
        f"FROM {BASE}\n"
        "USER 0:0\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*\n"
        f"{pip}'bash-kernel>=0.10' && python -m bash_kernel.install --sys-prefix\n"
        "COPY requirements.txt /opt/nbstep/requirements.txt\n"
        f"{pip}--require-hashes --requirement /opt/nbstep/requirements.txt\n"
        "COPY --chown=10001:10001 files/ /workspace/\n"
        "ENV PYTHONPATH=/workspace\n"
        'VOLUME ["/workspace"]\n'
        "WORKDIR /workspace\n"
        "USER 10001:10001\n"
    )


def test_nothing_wanted_is_nothing_done() -> None:
    assert Recipe(base=BASE).dockerfile() == f"FROM {BASE}\nUSER 0:0\nUSER 10001:10001\n"


@given(st.text(min_size=1))
def test_no_name_carries_an_instruction(text: str) -> None:
    for recipe in ({"base": text}, {"base": BASE, "apt": (text,)}, {"base": BASE, "kernel": text}):
        try:
            dockerfile = Recipe(**recipe).dockerfile()
        except UsageError:
            continue
        lines = dockerfile.replace("\\\n", "").splitlines()
        assert {line.split()[0] for line in lines} <= {"FROM", "USER", "RUN"}
        assert len([line for line in lines if line.startswith("RUN")]) <= 1 or text in KERNELS
        assert not set(";|`$()") & set(text)


def test_files_keep_their_places_and_caches_stay_out() -> None:
    for name in ("lib/a.py", "lib/__pycache__/a.pyc", "lib/.git/config", "data.csv", "lib/deep/b.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    found = working_files(["lib", "./data.csv"])
    assert [each.path for each in found] == ["files/data.csv", "files/lib/a.py", "files/lib/deep/b.txt"]


def test_a_file_from_elsewhere_comes_under_its_own_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.csv"
    elsewhere.write_text("1")
    assert [each.path for each in working_files([str(elsewhere)])] == ["files/x.csv"]
    assert [each.path for each in working_files([f"../{elsewhere.parent.name}/x.csv"])] == ["files/x.csv"]
    Path("x.csv").write_text("2")
    with pytest.raises(BadInputError, match=r"two files would be x\.csv"):
        working_files(["x.csv", str(elsewhere)])


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(InputNotFoundError):
        working_files(["none.csv"])
    os.mkfifo("pipe")
    with pytest.raises(BadInputError, match="not a regular file"):
        working_files(["pipe"])


def test_the_context_is_what_was_listed() -> None:
    Path("run.sh").write_text("#!/bin/sh\n")
    Path("run.sh").chmod(0o777)
    Path("requirements.in").write_text("x\n")
    entries = (entry("requirements.txt", Path("requirements.in")), *working_files(["run.sh"]))
    folder = Path("context")
    folder.mkdir()
    write_context(folder, "FROM x\n", entries)
    modes = {p.relative_to(folder).as_posix(): p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()}
    assert modes.pop("Dockerfile")
    assert modes == {"requirements.txt": PLAIN, "files/run.sh": EXECUTABLE}


def test_the_digest_is_of_content_and_not_of_where_or_when(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for path in (one, two):
        path.write_text("x")
    os.utime(two, (1, 1))
    digests = {input_digest("FROM x", "b", None, [entry("requirements.txt", path)]) for path in (one, two)}
    assert len(digests) == 1
    assert digests != {input_digest("FROM x", "b", "linux/arm64", [entry("requirements.txt", one)])}
    assert digests != {input_digest("FROM x", "c", None, [entry("requirements.txt", one)])}
    assert digests != {input_digest("FROM x", "b", None, [entry("other.txt", one)])}


def test_the_order_of_packages_does_not_matter() -> None:
    assert planned(apt=("a1", "b1")).image == planned(apt=("b1", "a1", "b1")).image


def test_a_pinned_base_needs_nobody_to_ask() -> None:
    asked: list[str] = []
    assert plan(ImageRequest(name="i", base=PINNED), lambda name: asked.append(name) or None).pinned  # type: ignore[func-returns-value]  # to be noted
    assert asked == []
    assert not planned(base=BASE).pinned


def test_requirements_beside_a_notebook() -> None:
    assert requirements_beside(Path("n.ipynb")) is None
    Path("requirements.txt").touch()
    assert requirements_beside(Path("n.ipynb")) == Path("requirements.txt")
    Path("requirements.lock").touch()
    assert requirements_beside(Path("n.ipynb")) == Path("requirements.lock")


@pytest.mark.parametrize("hashed", [True, False])
def test_a_lock_with_hashes_is_held_to_them(hashed: bool) -> None:
    text = b"x==1" + (b" --hash=sha256:0" if hashed else b"")
    assert ("--require-hashes" in planned(requirements=text).dockerfile) is hashed


def test_command_lines_of_the_builders() -> None:
    wanted = planned(platform="linux/arm64", secrets={"pip.conf": Path("/c")}, network="host")
    common = [
        f"--tag={wanted.image}",
        f"--label=nbstep.inputs=sha256:{wanted.digest}",
        "--platform=linux/arm64",
        "--network=host",
        "--secret=id=pip.conf,src=/c",
    ]
    docker, buildx = Builder("docker", "docker"), Builder("docker", "docker", buildx=True)
    assert docker.arguments(wanted, "F", push=True) == ["build", *common, "F"]
    assert buildx.arguments(wanted, "F", push=False) == ["buildx", "build", *common, "--load", "F"]
    attested = [*common, "--push", "--provenance=mode=max", "--sbom=true", "F"]
    assert buildx.arguments(wanted, "F", push=True) == ["buildx", "build", *attested]
    podman = Builder("podman", "podman", sbom=True)
    assert podman.arguments(wanted, "F", push=True) == ["build", *common, "--sbom=spdx", "F"]


def test_a_job_carries_the_files_as_they_are() -> None:
    Path("requirements.txt").write_text("x==1\n")
    Path("data.bin").write_bytes(bytes(range(256)))
    wanted = planned(requirements=b"x==1\n", files=("data.bin",))
    config_map, job = manifests(wanted, namespace=None, registry_secret="r", build_secret="b")  # noqa: S106 - names
    container = job["spec"]["template"]["spec"]["containers"][0]
    places = {mount.get("subPath"): mount["mountPath"] for mount in container["volumeMounts"]}
    held = {places[key]: base64.b64decode(data) for key, data in config_map["binaryData"].items()}
    assert held == {
        "/context/Dockerfile": wanted.dockerfile.encode(),
        "/context/requirements.txt": b"x==1\n",
        "/context/files/data.bin": bytes(range(256)),
    }
    assert f"--output=type=image,name={wanted.image},push=true" in container["args"]
    assert "--secret=id=pip.conf,src=/build-secrets/pip.conf" in container["args"]


def test_a_context_that_no_config_map_holds_is_refused() -> None:
    Path("big").write_bytes(bytes(800_000))
    with pytest.raises(UsageError, match="more than a ConfigMap holds"):
        manifests(planned(files=("big",)), namespace=None, registry_secret=None, build_secret=None)
