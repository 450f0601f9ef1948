"""What a run reads is none of the places that it writes, whatever it is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import InputFile, ParameterSource, RunSpec
from nbstep_runner.errors import BadInputError
from nbstep_runner.session.places import Places, refuse_own_place, refuse_own_places


def refused(**fields: Any) -> bool:
    spec = RunSpec(**({"run_id": "r", "input_uri": "in.ipynb", "output_uri": "out.ipynb"} | fields))
    try:
        refuse_own_places(spec, Places.of(spec))
    except BadInputError:
        return True
    return False


BESIDE = ("out.partial.ipynb", "out.result.json", "out.log.jsonl", "out.html")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_the_output_is_no_input(name: str, folder: Path) -> None:
    assert refused(input_uri=name)
    assert refused(input_uri=f"./{name}")
    assert refused(input_uri=(folder / name).as_uri())
    assert refused(input_uri=str(folder / "x" / ".." / name))
    assert refused(parameters=(ParameterSource.raw("a", "1"), ParameterSource.file(name)))
    assert refused(files=(InputFile(path="data.csv", uri=name, checksum="sha256:0"),))
    assert refused(files=(InputFile(path=name, uri="elsewhere.csv", checksum="sha256:0"),))


@pytest.mark.fault(50)
@pytest.mark.parametrize("own", ["out.files", "out.state", "out.attempts"])
def test_what_lies_in_a_folder_of_the_runs_own_is_no_input(own: str, folder: Path) -> None:
    (folder / own / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(folder / own / "deep")
    for name in (f"{own}/x", f"./{own}/deep/x", (folder / own / "x").as_uri(), "link/x", "link/../x"):
        assert refused(input_uri=name)
        assert refused(parameters=(ParameterSource.file(name),))
        assert refused(files=(InputFile(path="data.csv", uri=name, checksum="sha256:0"),))
    assert refused(files=(InputFile(path=f"{own}/x", uri="elsewhere.csv", checksum="sha256:0"),))
    with pytest.raises(BadInputError, match="the run's own"):
        refuse_own_place(RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb"), "link/x")
    for name in (f"{own}2/x", f"other/{own}/x", f"link/../../{own}2/x"):
        assert not refused(input_uri=name, parameters=(ParameterSource.file(name),))


@pytest.mark.parametrize("name", BESIDE)
def test_links_lead_to_the_same(name: str, folder: Path) -> None:
    (folder / "link").symlink_to(name)
    assert refused(input_uri="link"), "a link to what is not there yet"
    (folder / name).write_text("{}")
    assert refused(input_uri="link")
    os.link(folder / name, folder / "hard")
    assert refused(parameters=(ParameterSource.file("hard"),))
    (folder / "elsewhere").symlink_to(folder)
    assert refused(input_uri=f"elsewhere/{name}")


def test_a_notebook_may_be_run_in_its_own_place_and_nothing_else(folder: Path) -> None:
    assert not refused(input_uri="out.ipynb")
    assert refused(parameters=(ParameterSource.file("out.ipynb"),))
    assert refused(files=(InputFile(path="out.ipynb", uri="data.csv", checksum="sha256:0"),))
    where = {"working_directory": str(folder / "work")}
    assert not refused(files=(InputFile(path="out.ipynb", uri="data.csv", checksum="sha256:0"),), **where)


def test_other_names_are_none_of_its_own() -> None:
    for name in ("in.ipynb", "out2.result.json", "gs://out.result.json", "-", "bad\nname", "{}", "x:y"):
        assert not refused(input_uri=name, parameters=(ParameterSource.file("params.yaml"),))


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("gs://bucket/out.ipynb", "gs://bucket/out.result.json"),
        ("https://host/out.ipynb?sig=1", "https://HOST:443/out%2Eresult.json?sig=2"),
        ("sftp://me@host/out.ipynb", "sftp://host:22/out.partial.ipynb"),
        ("s3://bucket/a%20b.ipynb", "s3://bucket/a%20b.log.jsonl"),
        ("S3://bucket/out.ipynb", "s3://bucket/out.files/plots/loss.png"),
        ("https://host/out.ipynb?sig=1", "https://me@host/out%2Estate/x?sig=2"),
    ],
)
def test_remote_names_are_compared_without_what_does_not_name(output: str, read: str) -> None:
    assert refused(output_uri=output, input_uri=read)


@pytest.mark.parametrize(
    "read", ["s3://bucket/a b.log.jsonl", "s3://other/a%20b.log.jsonl", "gs://bucket/a%20b.log.jsonl"]
)
def test_keys_of_object_stores_are_taken_as_they_stand(read: str) -> None:
    assert not refused(output_uri="s3://bucket/a%20b.ipynb", input_uri=read)
