"""Requirements: read as pip reads them, checked where they have to be there, made into an image where they do not."""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.images.builders import Builder
from nbstep.images.plan import ImageRequest, plan
from nbstep.images.requirements import check_installed, read_requirements
from nbstep.images.run_image import RunImage
from nbstep.profiles import load_profile
from nbstep.submission.request import Request, prepare
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, UsageError
from support import notebooks

CLICK = metadata.version("click")
LOCKED = f"""\
# made by a tool
--index-url https://user:secret@index.example.org/simple
click=={CLICK} ; python_version >= "3.8" \\
    --hash=sha256:{"0" * 64} \\
    --hash=sha256:{"1" * 64}
    # via nbstep
msgspec[yaml] >= 0.1  # the fast one
no-such-package==1 ; python_version < "3"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebooks.write(Path("train.ipynb"), ["print(1)"])


def test_a_lock_file_with_hashes_options_and_markers_is_read() -> None:
    Path("requirements.txt").write_text("\ufeff" + LOCKED)
    requirements = read_requirements("requirements.txt")
    assert [line.split()[0] for line in requirements.lines()] == [
        "--index-url",
        f"click=={CLICK}",
        "msgspec[yaml]",
        "no-such-package==1",
    ]
    check_installed(requirements)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("no-such-package==1.2", "no-such-package==1.2 is not installed"),
        ("click<1", f"click<1 is required, and {CLICK} is installed"),
        ("fsspec[no_such_extra]", None),
        ("click @ https://example.org/click-8.whl", None),
        ("CLICK", None),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(line: str, problem: str | None) -> None:
    if problem is None:
        check_installed(read_requirements([line]))
        return
    with pytest.raises(BadInputError) as caught:
        check_installed(read_requirements([line]))
    assert problem in caught.value.message
    assert f"-m pip install {line}" in caught.value.hint.replace("'", "")


def test_an_extra_brings_its_own_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"click": ["no-such-package>=2 ; extra == 'color'", "another-missing ; extra == 'other'", "fsspec"]}
    monkeypatch.setattr(metadata, "requires", asked.get)
    with pytest.raises(BadInputError, match=r": no-such-package>=2 is not installed\n"):
        check_installed(read_requirements(["click[color]"]))


@pytest.mark.parametrize("line", ["-r base.txt", "--requirement=base.txt", "-cconstraints.txt", "-e ."])
def test_other_files_are_refused(line: str) -> None:
    with pytest.raises(BadInputError, match="name another file"):
        read_requirements([line])


def test_what_can_travel_is_taken() -> None:
    lines = [
        "-r https://example.org/base.txt",
        "--extra-index-url https://example.org",
        "git+https://example.org/a.git",
    ]
    assert list(read_requirements(lines).lines()) == lines


@given(st.lists(st.text(max_size=40), max_size=5))
def test_no_text_ends_in_a_traceback(lines: list[str]) -> None:
    with suppress(NbstepError):
        check_installed(read_requirements(lines))


def test_no_password_is_shown() -> None:
    for line in (
        "https://me:pa55@example.org/a.whl",
        "-r sub//me:pa55@x.txt",
        "absent @ https://me:pa55@example.org/a",
    ):
        with pytest.raises(BadInputError) as caught:
            check_installed(read_requirements([line]))
        assert "pa55" not in f"{caught.value.message} {caught.value.hint}"


def test_a_local_run_without_its_requirements_writes_nothing(tmp_path: Path) -> None:
    profile = load_profile(None, {"runs": "runs"})
    with pytest.raises(BadInputError, match="no-such-package==1 is not installed"):
        prepare(Request(notebook="train.ipynb", profile=profile, requirements=["no-such-package==1"]))
    assert [path.name for path in tmp_path.iterdir()] == ["train.ipynb"]
    assert prepare(Request(notebook="train.ipynb", profile=profile, requirements=["click"])).image is None


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputNotFoundError) as caught:
        read_requirements("pandas")
    assert "give a list" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on": "docker"}, "none is named"),
        ({"on": "kubernetes", "image": "base:1", "runs": "gs://b/runs"}, "needs the name of a repository"),
        ({"on": "docker", "image": "base:1", "build": {"push": True}}, "needs the name of a repository"),
        ({"on": "docker", "image": "base:1", "build": {"repository": "a:tag"}}, "without a tag"),
        ({"on": "docker", "image": "base:1", "build": {"secrets": {"pip.conf": "absent"}}}, "pip.conf is no file"),
        ({"on": "docker", "image": "base:1"}, "no builder of images is installed"),
        ({"on": "docker", "image": "base:1", "build": {"builder": "podman"}}, "podman is not installed"),
    ],
)
def test_what_an_image_lacks_is_said_before_anything_is_built(
    values: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises((UsageError, BadInputError), match=message) as caught:
        prepare(Request(notebook="train.ipynb", profile=load_profile(None, values), requirements=["click"]))
    assert caught.value.hint
    assert "builder" not in message or "nbstep build --builder job" in caught.value.hint


def test_the_image_of_a_run_is_never_looked_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(
        ImageRequest(name="nbstep-train", base=f"base@sha256:{'a' * 64}", requirements=b"click"), lambda _: None
    )
    image = RunImage(plan=made, builder=Builder("docker", "/usr/bin/docker"), push=False)
    monkeypatch.setattr("nbstep.submission.request._image", lambda *_: image)
    profile = load_profile(None, {"on": "docker", "image": "base:1", "docker": {"pull": True}})
    submission = prepare(Request(notebook="train.ipynb", profile=profile, requirements=["click"])).submission
    assert submission.profile.image == made.image
    assert submission.profile.docker.pull is False
