"""Chains without processes: the order of the steps, what passes between them, how a failure ends them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pytest

import nbstep
from nbstep.steps import NotebookStep
from nbstep.steps.chain import INPUT, LOG, RECORD
from nbstep.steps.reuse import KEPT
from nbstep_runner.contract import DIGEST_INPUT, ErrorInfo, RunState, encode
from nbstep_runner.errors import (
    BadInputError,
    CellFailedError,
    InternalError,
    NbstepError,
    OutOfMemoryError,
    OutputConflictError,
    StorageUnavailableError,
)
from support import notebooks
from support.records import run_record

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""What a step's notebook does: its results, from its parameters and the places of its artifacts; or it raises."""


class StepProcess:
    """Stands for the process of a step: it takes KFP's message, does a function's work, and leaves a record."""

    work: Work
    copies: ClassVar[list[int]] = []

    def __init__(self, arguments: list[str], *, descriptors: tuple[int, ...]) -> None:
        (self.lock,) = descriptors
        self.copies.append(os.dup(self.lock))  # as a process has that is forked meanwhile
        self._input = Path(arguments[arguments.index("--executor-input-file") + 1])
        self._code = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def lines(self) -> Iterator[bytes]:
        yield b"begun\n"
        told = json.loads(self._input.read_text())
        given = dict(told["inputs"]["parameterValues"])
        for name, artifact in told["inputs"]["artifacts"].items():
            given[name] = artifact["artifacts"][0]["uri"]
        record = run_record(output_uri="o", exit_code=0)
        members: dict[str, Any] = {}
        try:
            members["results"] = type(self).work(given)
        except NbstepError as error:
            self._code = int(error.exit_code)
            members |= {"state": RunState.FAILED, "exit_code": self._code, "error": ErrorInfo.of(error)}
        except SystemExit as vanished:
            self._code = int(vanished.code or 0)
            return
        (self._input.parent / RECORD).write_bytes(encode(replace(record, **members)))

    def wait(self) -> int:
        return self._code


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Work], None]]:
    """Says what every step does from now on."""
    copies: list[int] = []
    monkeypatch.setattr("nbstep.steps.chain.Child", StepProcess)
    monkeypatch.setattr(StepProcess, "copies", copies)

    def every(work: Work) -> None:
        monkeypatch.setattr(StepProcess, "work", staticmethod(work), raising=False)

    yield every
    for each in copies:
        os.close(each)


def step(folder: Path, cell: str = "n: int = 1", name: str = "add", **options: Any) -> NotebookStep:
    path = notebooks.write(folder / f"{name}.ipynb", [notebooks.Code(cell, ("parameters",))])
    usual: dict[str, Any] = {"results": {"n": int}, "html": False}
    return nbstep.notebook_step(path, **usual | options)


def test_results_pass_from_step_to_step_in_the_order_of_the_data(tmp_path: Path, does: Any) -> None:
    seen: list[int] = []

    def add_one(given: dict[str, Any]) -> dict[str, Any]:
        seen.append(given["n"])
        return {"n": given["n"] + 1}

    does(add_one)
    add = step(tmp_path)
    first = add(n=5)
    second = add(n=first.output)
    third = add(n=second.output)
    done = nbstep.chain([third, first], tmp_path / "runs", quiet=True)
    assert seen == [5, 6, 7]
    assert {name: each.outputs["n"] for name, each in done.items()} == {"add": 6, "add-2": 7, "add-3": 8}
    assert (tmp_path / "runs/add" / LOG).read_bytes() == b"begun\n"


def test_artifacts_pass_as_the_places_where_they_lie(tmp_path: Path, does: Any) -> None:
    seen: dict[str, Any] = {}

    def note(given: dict[str, Any]) -> dict[str, Any]:
        seen.update(given)
        return {"n": 1}

    does(note)
    cell = "n: int = 1\ntable_path: str = 'out/t.csv'\nmodel: str = ''"
    make = step(tmp_path, cell, name="make", artifacts={"table": "Dataset", "model": "Model"})
    read = step(tmp_path, "table: str", name="read")
    made = make()
    done = nbstep.chain([read(table=made.outputs["table"])], tmp_path / "runs", quiet=True)
    assert seen["table"] == str(tmp_path / "runs/make/table.csv"), "the extension is the default's"
    left = {name: Path(path).name for name, path in done["make"].outputs.items() if name != "n"}
    assert left == {"notebook": "output.ipynb", "metrics": "metrics.json", "table": "table.csv", "model": "model"}


def test_a_chain_shows_as_a_table(tmp_path: Path, does: Any) -> None:
    does(lambda given: {"n": given["n"] * 7})
    shown = nbstep.chain([step(tmp_path)(n=6)], tmp_path / "runs", quiet=True)._repr_html_()
    assert 'role="table"' in shown
    assert all(text in shown for text in (">add<", ">42<", ">succeeded<"))


def test_a_failure_is_the_steps_own_and_nothing_later_runs(
    tmp_path: Path, does: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_given: dict[str, Any]) -> dict[str, Any]:
        raise CellFailedError("no such column")

    does(fail)
    first = step(tmp_path)()
    later = step(tmp_path, name="later")().after(first)
    with pytest.raises(CellFailedError, match="no such column") as caught:
        nbstep.chain([later], tmp_path / "runs")
    assert caught.value.__notes__[-1] == f"step add failed; everything that it left is in {tmp_path / 'runs/add'}"
    assert not (tmp_path / "runs/later").exists()
    assert capfd.readouterr().out == "begun\n"


@pytest.mark.parametrize(("code", "kind"), [(13, OutOfMemoryError), (99, InternalError)])
def test_a_step_without_a_record_is_told_by_its_exit_code(
    tmp_path: Path, does: Any, code: int, kind: type[NbstepError]
) -> None:
    def vanish(_given: dict[str, Any]) -> dict[str, Any]:
        raise SystemExit(code)

    does(vanish)
    with pytest.raises(kind, match=f"step add ended with the code {code}") as caught:
        nbstep.chain([step(tmp_path)()], tmp_path / "runs", quiet=True)
    assert str(tmp_path / "runs/add" / LOG) in caught.value.hint


def test_what_an_earlier_chain_left_is_gone(tmp_path: Path, does: Any) -> None:
    for old in ("runs/add/table", "runs/add/notebook"):
        (tmp_path / old).mkdir(parents=True)
    (tmp_path / "runs/add" / RECORD).write_text("{}")
    does(lambda _: {"n": 1})
    one = step(tmp_path, "table_path: str = ''", artifacts={"table": "Dataset"})
    nbstep.chain([one()], tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs/add/table").exists()
    values = json.loads((tmp_path / "runs/add" / INPUT).read_text())["inputs"]["parameterValues"]
    assert values[DIGEST_INPUT] == one.source.digest


def test_two_chains_in_one_folder_take_nothing_from_each_other(tmp_path: Path, does: Any) -> None:
    call = step(tmp_path, results={"sum": int})(n=1)
    refused: list[OutputConflictError] = []

    def meanwhile(_: dict[str, Any]) -> dict[str, Any]:
        with pytest.raises(OutputConflictError, match="another chain has the step add") as caught:
            nbstep.chain([call], tmp_path / "runs", quiet=True)
        refused.append(caught.value)
        return {"sum": 1}

    does(meanwhile)
    assert nbstep.chain([call], tmp_path / "runs", quiet=True)["add"].outputs["sum"] == 1
    assert len(refused) == 1
    assert nbstep.chain([call], tmp_path / "runs", quiet=True)["add"].reused


def test_what_a_later_step_reads_is_not_taken_away_meanwhile(tmp_path: Path, does: Any) -> None:
    first = step(tmp_path, name="first", results={"n": int})(n=1)
    last = step(tmp_path, name="last", results={"n": int})(n=first.output)

    def meanwhile(given: dict[str, Any]) -> dict[str, Any]:
        with pytest.raises(OutputConflictError, match="another chain has the step first"):
            nbstep.chain([first], tmp_path / "runs", quiet=True, force=True)
        return {"n": given["n"]}

    does(meanwhile)
    assert list(nbstep.chain([last], tmp_path / "runs", quiet=True)) == ["first", "last"]


def test_steps_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    first, second = step(tmp_path)(), step(tmp_path)()
    first.after(second)
    second.after(first)
    with pytest.raises(BadInputError, match="wait for each other"):
        nbstep.chain([first], tmp_path / "runs")


def test_a_step_has_to_be_called(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="add is no step with its arguments"):
        nbstep.chain([step(tmp_path)], tmp_path / "runs")  # type: ignore[list-item]  # the mistake


def test_the_only_output_has_a_short_name(tmp_path: Path) -> None:
    assert step(tmp_path)().output.name == "n"
    with pytest.raises(BadInputError, match="declares 0 outputs"):
        _ = step(tmp_path, results={})().output


@pytest.fixture
def counted(does: Any) -> list[str]:
    """The names of steps that have run, in order; each writes its artifact and counts up its number."""
    ran: list[str] = []

    def work(given: dict[str, Any]) -> dict[str, Any]:
        ran.append(str(given["name"]))
        return {"n": given["n"] + 1}

    does(work)
    return ran


def two_steps(folder: Path, n: int = 5, cell: str = "") -> list[Any]:
    first = step(folder, f"n: int = 1\nname: str = 'first'{cell}", name="first")(n=n)
    second = step(folder, "n: int\nname: str = 'second'", name="second")(n=first.output)
    return [first, second]


def chained(folder: Path, calls: list[Any], **options: Any) -> dict[str, bool]:
    done = nbstep.chain(calls, folder / "runs", quiet=True, **options)
    assert done["second"].outputs["n"] == done["first"].outputs["n"] + 1
    return {name: each.reused for name, each in done.items()}


def test_what_succeeded_is_not_run_again(tmp_path: Path, counted: list[str]) -> None:
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": False, "second": False}
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": True, "second": True}
    assert counted == ["first", "second"]


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        (lambda _: {"force": True}, ["first", "second"]),
        (lambda _: {"n": 6}, ["first", "second"]),
        (lambda _: {"cell": "\n# another notebook"}, ["first", "second"]),
        (lambda runs: _write(runs / "first/output.ipynb", "other bytes"), ["first", "second"]),
        (lambda runs: _write(runs / "second/output.ipynb", "other bytes"), ["second"]),
        (lambda runs: _write(runs / "second/output.ipynb/in-a-folder", "other bytes"), ["second"]),
        (lambda runs: _write(runs / "second/reuse.json", "{"), ["second"]),
        (lambda runs: (runs / "second" / RECORD).unlink(), ["second"]),
        (lambda runs: _write(runs / "second" / RECORD, (runs / "second" / RECORD).read_text()[:-9]), ["second"]),
    ],
)
def test_what_is_not_as_it_was_is_run_again(
    tmp_path: Path, counted: list[str], change: Callable[[Path], dict[str, Any] | None], ran: list[str]
) -> None:
    chained(tmp_path, two_steps(tmp_path))
    counted.clear()
    options = change(tmp_path / "runs") or {}
    force = options.pop("force", False)
    chained(tmp_path, two_steps(tmp_path, **options), force=force)
    assert counted == ran


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("left", [LOG, INPUT, "source.ipynb"])
def test_a_folder_that_is_full_is_told_and_the_steps_before_stand(
    tmp_path: Path, counted: list[str], left: str
) -> None:
    chained(tmp_path, two_steps(tmp_path))
    counted.clear()
    file = tmp_path / "runs/second" / left
    file.unlink()
    file.symlink_to("/dev/full")
    (tmp_path / "runs/second" / RECORD).unlink()
    with pytest.raises(
        StorageUnavailableError, match="second does not take what the step second leaves: No space left"
    ):
        chained(tmp_path, two_steps(tmp_path))
    file.unlink()
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": True, "second": False}


@pytest.mark.usefixtures("counted")
def test_a_reader_that_has_gone_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stdout = os.dup(1)
    os.dup2(writer, 1)
    try:
        with pytest.raises(BrokenPipeError):
            nbstep.chain(two_steps(tmp_path), tmp_path / "runs")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(writer)
    assert (tmp_path / "runs/first" / LOG).read_bytes() == b"begun\n"


def test_a_success_that_cannot_be_remembered_is_one_and_runs_again(tmp_path: Path, does: Any) -> None:
    kept = tmp_path / "runs/second" / KEPT

    def work(given: dict[str, Any]) -> dict[str, Any]:
        if given["name"] == "second":
            kept.symlink_to("/dev/full")
        return {"n": given["n"] + 1}

    does(work)
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": False, "second": False}
    kept.unlink()
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": True, "second": False}


def test_a_step_that_failed_is_tried_again_and_the_ones_before_it_stand(tmp_path: Path, does: Any) -> None:
    ran: list[str] = []

    def work(given: dict[str, Any]) -> dict[str, Any]:
        ran.append(given["name"])
        if given["name"] == "second" and ran.count("second") == 1:
            raise CellFailedError("not yet")
        return {"n": given["n"] + 1}

    does(work)
    with pytest.raises(CellFailedError):
        chained(tmp_path, two_steps(tmp_path))
    assert chained(tmp_path, two_steps(tmp_path)) == {"first": True, "second": False}
    assert ran == ["first", "second", "second"]
