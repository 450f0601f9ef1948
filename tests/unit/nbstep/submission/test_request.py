"""What a call asks for is checked before anything is written, and mistakes are told in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbstep import Profile, find, submit
from nbstep.profiles import load_profile
from nbstep.submission.files import collect
from nbstep.submission.request import SPEC_FIELDS, Request, prepare
from nbstep_runner.contract import ParameterSource, RunSpec
from nbstep_runner.errors import BadInputError, InputNotFoundError, UsageError
from nbstep_runner.notebook import parse_notebook
from support import notebooks


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebooks.write(Path("train.ipynb"), ["print(1)"])


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"kernal": "ir"}, "no field 'kernal'", "'kernel'"),
        ({"input_uri": "elsewhere.ipynb"}, "no field 'input_uri'", "There are: kernel, "),
        ({"checkpoint_seconds": "often"}, "Expected `float`, got `str`", ""),
        ({"kernel": 3}, "Expected `str | null`, got `int`", ""),
        ({"requirements": [3]}, "a requirement is text, not 3", "pandas==2.2.3"),
        ({"unknown_parameters": "ignored"}, "cannot be 'ignored'", "error, warn, ignore"),
        ({"resources": {"memory": "4GB"}}, "resources.memory: '4GB' is not a quantity", "4Gi"),
        ({"resources": {"gpu": -1}}, "Expected `int` >= 0", ""),
        ({"retries": -1}, "Expected `int` >= 0", ""),
        ({"env": {"A": 1}}, "env.A is of type int, not text", "in quotes"),
        ({"labels": {"a": True}}, "labels.a is of type bool, not text", "in quotes"),
        ({"env": {"A=B": "x"}}, "no variable of an environment can be called 'A=B'", ""),
        ({"env": {"": "x"}}, "no variable of an environment can be called ''", ""),
        ({"env": {"A\0": "x"}}, "no variable of an environment can be called", ""),
        ({"env": {"A": "x\0"}}, "the variable A cannot hold a NUL", ""),
        ({"deadlines": {"run": -1}}, "deadlines.run cannot be -1 s", ""),
        ({"deadlines": {"grace": 0}}, "deadlines.grace cannot be 0 s", ""),
        ({"options": {"kubernetes": {"start_seconds": 0}}}, "Expected `int` >= 1", ""),
        ({"options": {"kubernetes": {"storage": {"known_host": "x"}}}}, "no field storage.known_host;", ""),
        ({"options": {"kubernetes": {"storage": {"known_hosts": 3}}}}, "Expected `str | null`, got `int`", ""),
        ({"files": {"../up": "train.ipynb"}}, "is not in the working directory", "without '..'"),
        ({"files": {"/etc/passwd": "train.ipynb"}}, "is not in the working directory", "without '..'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    options: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, BadInputError)) as caught:
        submit("train.ipynb", **options)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["train.ipynb"]


def test_every_field_that_a_call_may_set_is_one() -> None:
    assert set(SPEC_FIELDS) < set(RunSpec.__annotations__)


def test_a_profile_or_the_call_says_whether_a_state_is_kept() -> None:
    def spec(profile: Profile, **fields: Any) -> RunSpec:
        return prepare(Request(notebook="train.ipynb", profile=profile, spec=fields)).submission.spec

    assert not spec(Profile()).state
    assert spec(Profile(state=True)).state
    assert spec(Profile(), state=True).needs == ("state>=0.2",)
    assert not spec(Profile(state=True), state=False).state


def test_options_and_named_values_go_together() -> None:
    with pytest.raises(UsageError, match=r"a cluster cannot reach .*elsewhere"):
        submit("train.ipynb", options={"runs": "elsewhere", "on": "kubernetes", "resources": {"cpu": 1}})


def test_one_file_can_be_named_alone() -> None:
    assert [each.path for each in collect("train.ipynb", Path())] == ["train.ipynb"]


@pytest.mark.parametrize(
    "text",
    [
        "profiles:\n",
        "profiles: [a]\n",
        "profiles: {a: null}\n",
        "default: 3\n",
        "[1]\n",
        "other: 1\n",
        "profiles: {a: {on: 3}}\n",
    ],
)
def test_a_file_of_profiles_of_another_shape_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=r"does not fit") as caught:
        load_profile("a", {}, path=str(file))
    assert caught.value.hint


def test_an_empty_file_of_profiles_has_none(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text("# nothing yet\n")
    assert load_profile(None, {}, path=str(file)) == Profile()
    with pytest.raises(InputNotFoundError, match="no profile 'gcp'"):
        load_profile("gcp", {}, path=str(file))


def test_a_profile_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NBSTEP_PROFILES", raising=False)
    with pytest.raises(InputNotFoundError, match="no file of profiles is here") as caught:
        load_profile("gcp", {})
    assert "nbstep.yaml" in caught.value.hint


def test_a_request_that_fits_is_prepared_without_a_trace(tmp_path: Path) -> None:
    prepared = prepare(Request(notebook="train.ipynb", profile=Profile(), spec={"allow_errors": True}))
    assert prepared.submission.spec.allow_errors
    assert [path.name for path in tmp_path.iterdir()] == ["train.ipynb"]


def test_a_working_directory_is_where_the_run_takes_place(tmp_path: Path) -> None:
    def prepared(**profile: Any) -> Any:
        folder = profile.pop("folder")
        request = Request(
            notebook="train.ipynb", profile=load_profile(None, profile), spec={"working_directory": folder}
        )
        return prepare(request).submission

    assert prepared(folder="project").spec.working_directory == str(tmp_path / "project")
    cluster = {"on": "kubernetes", "runs": "gs://bucket/runs", "image": "image:1"}
    assert prepared(folder="project", **cluster).spec.working_directory == "project"
    claimed = prepared(folder="pvc://shared/project", **cluster)
    assert (claimed.spec.working_directory, claimed.claims) == ("/pvc/shared/project", ("shared",))


OLD_CELL = {
    "cell_type": "code", "language": "python", "collapsed": False, "metadata": {}, "outputs": [], "input": "n = 1",
}  # fmt: skip
OLD = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [OLD_CELL]}]}
ODD_CELL = {"cell_type": "code", "id": "a", "metadata": {}, "source": "n = 1"}
ODD = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "extra": float("nan"), "cells": [ODD_CELL]}
TEXT = '# %% tags=["parameters"]\nn = 1\n\n# %%\nprint(n)\n'


@pytest.mark.parametrize(
    ("name", "text"), [("old.ipynb", json.dumps(OLD)), ("odd.ipynb", json.dumps(ODD)), ("text.py", TEXT)]
)
def test_what_a_run_reads_can_be_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    run = submit(name, on="memory", runs=f"memory://{name}/runs", html=False)
    uploaded = run.store.read(run.spec().input_uri).data
    assert "n = 1" in str(parse_notebook(uploaded).content["cells"][0]["source"])


def test_a_path_is_as_good_as_its_text(tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "train.ipynb", [notebooks.Code("data = ''", tags=("parameters",))])
    key, data = tmp_path / "key", tmp_path / "data.csv"
    run = submit(
        notebook, {"data": data}, runs=tmp_path / "runs", on="memory", working_directory=tmp_path,
        options={"storage": {"identity_file": key}}, files=notebook,
    )  # fmt: skip
    spec = run.spec()
    assert (spec.working_directory, run.storage.identity_file) == (str(tmp_path), str(key))
    assert run.output_uri.startswith(str(tmp_path / "runs"))
    assert find(Path(run.output_uri).parent.name, runs=tmp_path / "runs").id == run.id


def test_a_value_that_a_cell_sets_again_is_warned_of_when_it_is_submitted(tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "train.ipynb", ["rate = 0.1"])
    request = Request(notebook=str(notebook), profile=Profile(), sources=(ParameterSource.values({"rate": 1}),))
    assert any("nbstep tag NOTEBOOK --cell 0" in warning for warning in prepare(request).warnings)
