"""The images' locks hold what the project declares."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[4]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IN_THE_IMAGE = ("gcs", "s3", "sftp", "http", "html", "trace")
OF_IMAGES = ("requirements.lock", "images/data-science.lock", "images/serving.lock", "images/server.lock")
LEFT_OUT = {"debugpy", "jedi", "parso"}


def locked(path: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([\w.!+-]+)", (ROOT / path).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def declared(*extras: str) -> list[Requirement]:
    lines = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *lines]]


@pytest.mark.parametrize("lock", OF_IMAGES)
def test_every_declared_requirement_is_locked_in_a_version_that_fits(lock: str) -> None:
    versions = locked(lock)
    unfit = [
        each for each in declared(*IN_THE_IMAGE) if versions.get(canonicalize_name(each.name), "") not in each.specifier
    ]
    assert unfit == []
    assert not LEFT_OUT & versions.keys()


@pytest.mark.parametrize("lock", [*OF_IMAGES, "images/build.lock"])
def test_everything_is_held_to_hashes_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_the_images_share_their_versions() -> None:
    slim, science = locked("requirements.lock"), locked("images/data-science.lock")
    assert {name: (slim[name], science.get(name)) for name in slim if science.get(name) != slim[name]} == {}


def test_an_endpoints_image_is_data_science_and_what_serving_and_starting_one_take() -> None:
    science, serving = locked("images/data-science.lock"), locked("images/serving.lock")
    more = ("httptools", "starlette", "uvicorn", "kubernetes", "websocket-client")
    assert serving == science | {name: serving[name] for name in more}
    needs = [*declared("serve"), *declared("kubernetes")]
    unfit = [each for each in needs if serving.get(canonicalize_name(each.name), "") not in each.specifier]
    assert unfit == []


def test_a_servers_image_is_slim_and_what_a_server_takes() -> None:
    slim, server = locked("requirements.lock"), locked("images/server.lock")
    assert slim.items() <= server.items()
    needs = [*declared("web"), *declared("kubernetes")]
    assert [each for each in needs if server.get(canonicalize_name(each.name), "") not in each.specifier] == []


def test_what_is_asked_for_is_locked() -> None:
    wanted = re.findall(r"^([\w.-]+)", (ROOT / "images/data-science.in").read_text(), re.MULTILINE)
    assert {canonicalize_name(name) for name in wanted} <= locked("images/data-science.lock").keys()


def test_the_makefile_resolves_what_the_image_holds() -> None:
    (line,) = re.findall(r"^in_image := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tuple(re.findall(r"--extra (\w+)", line)) == ("gcs", "s3", "sftp", "http", "html", "trace")
