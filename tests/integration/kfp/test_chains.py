"""Chains: the same steps without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbstep
from nbstep.steps.chain import chain
from nbstep_runner.errors import BadInputError, CellFailedError
from support import notebooks, steps


def test_steps_run_in_the_order_of_their_data(folder: Path) -> None:
    prepared = steps.prepare_step(folder)(rows=5, columns=[3], anything={"a": 1})
    trained = steps.train_step(folder)(
        data=prepared.outputs["data"], rows=prepared.outputs["rows"], columns=prepared.outputs["columns"]
    )
    done = chain([trained, prepared], folder / "runs", quiet=True)
    assert list(done) == ["prepare", "train"]
    assert done["prepare"].outputs["given"] == "[5, 'x', [3], {}, None, {'a': 1}]"
    assert done["train"].outputs["rmse"] == 0.25
    assert (Path(done["train"].outputs["model"]) / "weights.txt").read_text() == "7"
    assert "weights.txt" in Path(done["train"].outputs["html"]).read_text()
    left = {path.name for path in (folder / "runs/train").iterdir() if path.is_file()}
    assert {name for name in left if "html" in name} == {"output.html"}
    assert {name for name in left if "." not in name} == set(), "every file has its extension"
    assert done["train"].record.state == "succeeded"


def test_a_failing_step_ends_the_chain_with_its_own_error(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = steps.train_step(folder)(data=str(folder / "prepare.ipynb"), rows=-1)
    second = steps.prepare_step(folder)().after(first)
    with pytest.raises(CellFailedError, match="AssertionError") as caught:
        chain([second], folder / "runs")
    assert str(folder / "runs" / "train") in caught.value.__notes__[-1]
    assert "assert len(lines) == rows" in "".join(caught.value.__notes__)
    assert not (folder / "runs" / "prepare").exists()
    assert (folder / "runs/train/output.ipynb").exists()
    assert "AssertionError" in capfd.readouterr().out


def test_a_chain_that_is_run_again_runs_what_does_not_stand(folder: Path) -> None:
    path = notebooks.write(
        folder / "count.ipynb", [notebooks.Code("log: str = 'log'", ("parameters",)), "open(log, 'a').write('x')"]
    )
    call = nbstep.notebook_step(path, html=False)(log=str(folder / "log"))
    for force, times in ((False, "x"), (False, "x"), (True, "xx")):
        nbstep.chain([call], folder / "runs", quiet=True, force=force)
        assert (folder / "log").read_text() == times
    (folder / "runs/count/output.ipynb").unlink()
    nbstep.chain([call], folder / "runs", quiet=True)
    assert (folder / "log").read_text() == "xxx"


def test_what_an_earlier_chain_left_does_not_pass_for_a_result(folder: Path) -> None:
    (folder / "runs/train/model").mkdir(parents=True)
    path = notebooks.write(folder / "train.ipynb", [notebooks.Code("model_path: str = 'm'", ("parameters",))])
    step = nbstep.notebook_step(path, artifacts={"model": "Model"}, html=False)
    with pytest.raises(BadInputError, match="did not write the artifact model"):
        chain([step()], folder / "runs", quiet=True)


def test_the_same_step_twice_has_two_folders(folder: Path) -> None:
    step = steps.prepare_step(folder, html=False)
    done = chain([step(rows=1), step(rows=2)], folder / "runs", quiet=True)
    assert {name: one.outputs["rows"] for name, one in done.items()} == {"prepare": 1, "prepare-2": 2}


def test_a_numbered_name_is_nobody_elses(folder: Path) -> None:
    one, two = steps.prepare_step(folder, html=False), steps.prepare_step(folder, html=False, name="prepare-2")
    done = chain([one(rows=1), one(rows=2), two(rows=3)], folder / "runs", quiet=True)
    assert {name: each.outputs["rows"] for name, each in done.items()} == {
        "prepare": 1,
        "prepare-2": 2,
        "prepare-2-2": 3,
    }
