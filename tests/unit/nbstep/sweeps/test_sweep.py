"""Parameter sets, their names, what a notebook imports, the plan, and the verdict of a sweep."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbstep
from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.sweeps.plan import PreparedSweep, SweepRequest, imported_modules, prepare
from nbstep.sweeps.sets import (
    LONGEST_NAME,
    MOST_SETS,
    Axis,
    Sources,
    axis,
    combine,
    names_given,
    read_matrix,
    row,
    run_id,
    set_name,
    typed_axis,
)
from nbstep_runner.contract import ErrorInfo, ParameterSource, RunState
from nbstep_runner.errors import BadInputError, CellFailedError, InternalError, InterruptedRunError, UsageError
from support import notebooks
from support.notebooks import Code
from support.records import run_record


def values_of(sources: Sources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in sources:
        found |= {source.name: source.text} if source.name else source.mapping
    return found


def test_a_grid_is_every_combination_the_last_axis_changing_fastest() -> None:
    sets = combine([typed_axis("lr=0.1,0.2"), typed_axis("n=1,2")], [])
    assert [values_of(each) for each in sets] == [
        {"lr": "0.1", "n": "1"},
        {"lr": "0.1", "n": "2"},
        {"lr": "0.2", "n": "1"},
        {"lr": "0.2", "n": "2"},
    ]


def test_each_row_of_a_matrix_is_combined_with_the_grid() -> None:
    sets = combine([axis("n", [1, 2])], [row({"lr": 0.1}), row({"lr": 0.2, "n": 9})])
    assert [values_of(each) for each in sets] == [
        {"lr": 0.1, "n": 1},
        {"lr": 0.1, "n": 2},
        {"lr": 0.2, "n": 1},
        {"lr": 0.2, "n": 2},
    ]


def test_values_that_hold_commas_are_given_as_a_yaml_list() -> None:
    name, sources = typed_axis('names=["a,b", [1, 2], plain]')
    assert (name, len(sources)) == ("names", 3)
    assert sources[0].mapping == {"names": "a,b"}


@pytest.mark.parametrize("text", ["lr", "=1", "lr=", "lr=[1", "lr=[]"])
def test_a_grid_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises((UsageError, BadInputError)):
        combine([typed_axis(text)], [])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([], "needs parameter sets"),
        ([axis("a", range(101)), axis("b", range(100))], "10,100"),
        ([axis("a", [1]), axis("a", [2])], "a twice"),
    ],
)
def test_sets_that_are_none_too_many_or_twice_are_refused(axes: list[Axis], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        combine(axes, [])


def test_no_more_values_are_made_than_a_sweep_can_have_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    typed, made, taken = ParameterSource.typed, Counter[str](), iter(range(2 * MOST_SETS))

    def counted(name: str, text: str) -> ParameterSource:
        made[name] += 1
        return typed(name, text)

    monkeypatch.setattr(ParameterSource, "typed", counted)
    with pytest.raises(UsageError, match="n has more than 10,000 values"):
        typed_axis("n=" + "1," * 2 * MOST_SETS)
    with pytest.raises(UsageError, match="n has more than 10,000 values"):
        axis("n", taken)
    assert (made["n"], next(taken)) == (MOST_SETS + 1, MOST_SETS + 1)


def test_a_csv_matrix_names_parameters_first_and_an_empty_field_gives_none() -> None:
    rows = read_matrix(b'\xef\xbb\xbflr,name\n0.1,"a,b"\n,c\n\n', "sets.csv")
    assert [values_of(each) for each in rows] == [{"lr": "0.1", "name": "a,b"}, {"name": "c"}]
    assert [values_of(each) for each in read_matrix(b"a\tb\n1\t2\n", "sets.TSV")] == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("data", [b'[{"lr": 0.1, "l": [1]}, {"n": 2}]', b"- lr: 0.1\n  l: [1]\n- n: 2\n"])
def test_json_and_yaml_matrices_are_lists_of_mappings(data: bytes) -> None:
    rows = read_matrix(data, "sets.yaml")
    assert [names_given(each) for each in rows] == [["lr", "l"], ["n"]]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.csv", b"a,b\n", "no rows"),
        ("m.csv", b"a,b\n1\n", "row 1 .* 1 fields"),
        ("m.csv", b'a\n"1', "not CSV"),
        ("m.csv", b"a\n\xff\n", "not UTF-8"),
        ("m.json", b'{"a": 1}', "no list"),
        ("m.json", b"[]", "no list"),
        ("m.yaml", b"- 1\n", "entry 1"),
        ("m.yaml", b"- a: 1\n  a: 2\n", "cannot be read"),
        ("m.yaml", b"- !!python/object:os.system {}\n", "cannot be read"),
    ],
)
def test_a_file_that_is_no_matrix_is_refused_in_a_line(name: str, data: bytes, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        read_matrix(data, name)
    assert "\n" not in caught.value.message


def test_names_are_readable_where_that_loses_nothing() -> None:
    assert set_name({"lr": 0.1, "n": 2, "kind": "fast", "deep": True}) == "lr=0.1,n=2,kind=fast,deep=true"
    assert re.fullmatch(r"path=-data-x-y-[0-9a-f]{8}", set_name({"path": "/data/x y"}))
    assert re.fullmatch(r"l=1\+2-[0-9a-f]{8}", set_name({"l": [1, 2]}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
SETS = st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=4)


@given(SETS)
def test_every_name_is_one_safe_folder(values: dict[str, Any]) -> None:
    name = set_name(values)
    assert re.fullmatch(r"[A-Za-z0-9._+=,-]+", name)
    assert name.strip(".")
    assert len(name) <= LONGEST_NAME
    assert set_name(dict(values)) == name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?", run_id(name, "x"))


@given(SETS, SETS)
def test_different_sets_have_different_names(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one) == json.dumps(other)
    assert (set_name(one) == set_name(other)) == same


def notebook_of(*cells: notebooks.Cell) -> dict[str, Any]:
    return notebooks.notebook(cells)


def test_the_imports_at_the_top_level_are_found() -> None:
    found = imported_modules(
        notebook_of(
            "%matplotlib inline\nimport numpy as np, pandas\n!pip list\nfrom a.b import c, d as e",
            notebooks.Text("import nothing"),
            "%%bash\nimport numpy",
            "this is no Python\nimport lost",
            "from . import own\nfrom x import *\nfrom __future__ import annotations\nimport pandas",
            "def later():\n    import scipy",
        )
    )
    assert found == ("numpy", "pandas", "a.b.c", "a.b.d", "x")


def swept(folder: Path, *grid: str, base: Sources = (), **how: Any) -> PreparedSweep:
    source = Code("lr: float = 0.1\nn: int = 1\nname = 'x'", tags=("parameters",))
    notebook = notebooks.write(folder / "in.ipynb", [source, "import numpy"])
    sets = combine([typed_axis(text) for text in grid], [])
    return prepare(SweepRequest(notebook=str(notebook), sets=sets, base=base, output=str(folder / "out"), **how))


def test_a_plan_has_a_run_for_each_set_in_a_folder_of_its_own(tmp_path: Path) -> None:
    done = swept(tmp_path, "lr=0.1,1e-3", "n=2", base=(ParameterSource.typed("name", "all"),), jobs=3)
    assert done.names == ("lr=0.1,n=2", "lr=0.001,n=2")
    assert done.plan.sets == ({"lr": 0.1, "n": 2}, {"lr": 0.001, "n": 2})
    assert [spec.output_uri for spec in done.plan.specs] == [
        str(tmp_path / "out" / name / "output.ipynb") for name in done.names
    ]
    assert values_of(done.plan.specs[1].parameters) == {"lr": 0.001, "n": 2, "name": "all"}
    assert (done.plan.jobs, done.plan.kernel, done.plan.modules) == (3, "python3", ("numpy",))
    assert len({spec.run_id for spec in done.plan.specs}) == 2
    assert swept(tmp_path, "lr=0.1,1e-3", "n=2", base=(ParameterSource.typed("name", "all"),), jobs=3) == done


def test_all_sets_are_checked_and_all_problems_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        swept(tmp_path, "n=1,two,three", "rate=1")
    message = caught.value.message
    assert message.startswith("3 of 3 parameter sets are refused, and nothing was run:")
    assert "set 2" in message
    assert "rate" in message
    assert not (tmp_path / "out").exists()


def test_the_same_set_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="1 and 2 are the same"):
        swept(tmp_path, "lr=0.1,0.10")


def run(name: str, state: RunState, code: int | None, **more: Any) -> SweepRun:
    error = None
    if state is not RunState.SUCCEEDED:
        error = ErrorInfo(reference="cell-failed" if code == 10 else "internal", message=f"{name} failed")
    result = run_record(run_id=name, state=state, output_uri="out", exit_code=code, error=error, seconds=1.5, **more)
    return SweepRun(name=name, parameters={"n": name}, output_uri="out", result=result)


GOOD = run("good", RunState.SUCCEEDED, 0, results={"rmse": 0.5, "parts": [1, 2], "ok": True})
CELL = run("cell", RunState.FAILED, 10)
LOST = run("lost", RunState.LOST, 70)
MISSING = SweepRun(name="missing", parameters={"n": "missing"}, output_uri="out")


@pytest.mark.parametrize(
    ("runs", "stopped_by", "code"),
    [
        ((GOOD,), None, 0),
        ((GOOD,), signal.SIGINT, 0),
        ((GOOD, CELL, LOST), None, 10),
        ((LOST, CELL, GOOD), None, 70),
        ((GOOD, MISSING), signal.SIGINT, 130),
        ((CELL, MISSING), signal.SIGTERM, 143),
        ((CELL, MISSING), signal.SIGHUP, 143),
        ((GOOD, MISSING), None, 70),
    ],
)
def test_the_exit_code_is_the_first_failures_in_the_order_of_the_sets(
    runs: tuple[SweepRun, ...], stopped_by: signal.Signals | None, code: int
) -> None:
    assert Sweep(runs=runs, stopped_by=stopped_by).exit_code == code


def test_check_raises_what_the_exit_code_says() -> None:
    Sweep(runs=(GOOD,)).check()
    with pytest.raises(CellFailedError, match="cell failed"):
        Sweep(runs=(GOOD, CELL, LOST)).check()
    with pytest.raises(InterruptedRunError, match="1 of 2"):
        Sweep(runs=(GOOD, MISSING), stopped_by=signal.SIGINT).check()
    with pytest.raises(InternalError, match="missing is pending"):
        Sweep(runs=(GOOD, MISSING)).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unknown_parameters": "eror"}, "unknown_parameters cannot be 'eror'"),
        ({"grid": {"name": "abc"}}, "no list of values for name"),
        ({"grid": {"n": 5}}, "no list of values for n"),
        ({"grid": {}, "matrix": {"n": [1]}}, "'n' of the matrix is no mapping"),
        ({"jobs": 0}, "0 runs at once"),
        ({"htlm": True}, "no field 'htlm'"),
        ({"run_id": "mine"}, "no field 'run_id'"),
        ({}, "needs parameter sets"),
    ],
)
def test_a_wrong_argument_is_refused_in_words(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    grid = {"grid": {"n": [1]}} if options else {}
    with pytest.raises(UsageError, match=message) as caught:
        nbstep.sweep(tmp_path / "absent.ipynb", output=tmp_path / "out", **grid | options)
    assert caught.value.hint


def test_a_field_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="html"):
        nbstep.sweep(tmp_path / "absent.ipynb", output=tmp_path / "out", grid={"n": [1]}, html="yes")


def test_a_table_as_csv_has_a_column_for_each_parameter_and_result() -> None:
    lines = Sweep(runs=(GOOD, CELL, MISSING)).csv().splitlines()
    assert lines == [
        "name,parameters.n,state,exit_code,seconds,results.rmse,results.parts,results.ok,error,output_uri",
        'good,good,succeeded,0,1.5,0.5,"[1,2]",true,,out',
        "cell,cell,failed,10,1.5,,,,cell failed,out",
        "missing,missing,pending,,,,,,,out",
    ]


def test_the_function_is_found_again_and_again() -> None:
    assert callable(nbstep.sweep)
    assert callable(nbstep.sweep)


def compared(**results: list[Any]) -> Sweep:
    """A sweep of runs that reported these results, a value a run; ``None`` where one failed."""
    runs = []
    for number, values in enumerate(zip(*results.values(), strict=True)):
        found = {name: value for name, value in zip(results, values, strict=True) if value is not None}
        state = RunState.SUCCEEDED if found else RunState.FAILED
        record = run_record(state=state, output_uri="", results=found, seconds=1.0)
        runs.append(SweepRun(name=f"run-{number}", parameters={"n": number}, output_uri="", result=record))
    return Sweep(runs=tuple(runs))


def test_the_best_run_is_that_of_the_lowest_error_or_the_highest_score() -> None:
    assert compared(rmse=[0.3, None, 0.1]).best().name == "run-2"
    assert compared(accuracy=[0.3, None, 0.1]).best().name == "run-0"
    assert [run.name for run in compared(rmse=[0.3, None, 0.1]).best_first()] == ["run-2", "run-0", "run-1"]
    assert compared(rmse=[0.3, 0.1], score=[5, 4]).best("score", lowest=True).name == "run-1"


def test_runs_without_a_number_to_compare_by_have_no_best() -> None:
    with pytest.raises(UsageError, match="no result that is a number"):
        compared(kind=["a", "b"]).best()
    with pytest.raises(UsageError, match="no run that succeeded has the result rsme"):
        compared(rmse=[0.3, 0.1]).best("rsme")


def test_a_run_that_failed_or_reports_no_number_is_not_the_best() -> None:
    sweep = compared(rmse=[0.3, 0.1], kind=["a", "b"])
    failed = replace(sweep.runs[1], result=run_record(state=RunState.FAILED, results={"rmse": 0.1}))
    assert Sweep(runs=(failed, sweep.runs[0])).best("rmse").name == "run-0"
    with pytest.raises(UsageError, match="no run that succeeded has the result kind as a number"):
        sweep.best("kind")


@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        *((name, True) for name in ("rmse", "val_loss", "logLoss", "testError", "MSE", "valRMSE", "seconds", "mae2")),
        *((name, True) for name in ("trainloss", "nrmse", "wmape", "walltime", "elapsed_time")),
        *(
            (name, False)
            for name in ("sentiment_accuracy", "power", "answer_rate", "territory", "glossary_f1", "f1", "uptime")
        ),
    ],
)
def test_whole_words_of_a_name_say_whether_the_lowest_is_the_best(name: str, lowest: bool) -> None:
    metric = compared(**{name: [1, 2]}).metric
    assert metric is not None
    assert metric.lowest is lowest


def test_a_frame_keeps_what_has_the_name_of_its_own_columns_apart() -> None:
    (run,) = compared(state=["best"], n=[3])
    frame = Sweep(runs=(replace(run, parameters={"name": "a", "n": 1}),)).to_frame().reset_index()
    assert frame.to_dict("records")[0] | {"error": None, "output_uri": ""} == {
        "name": "run-0",
        "parameters.name": "a",
        "n": 1,
        "state": "succeeded",
        "seconds": 1.0,
        "results.state": "best",
        "results.n": 3,
        "error": None,
        "output_uri": "",
    }


def test_a_sweep_shows_as_a_table_with_the_best_first() -> None:
    shown = compared(rmse=[0.3, None, 0.1])._repr_html_()
    assert "2 of 3 runs succeeded; the best first, by rmse: the lowest" in shown
    assert shown.index(">0.1<") < shown.index(">0.3<")
    assert 'aria-label="rmse against n"' in shown


def test_a_sweep_becomes_a_frame() -> None:
    frame = compared(rmse=[0.3, None, 0.1]).to_frame()
    assert list(frame.index) == ["run-0", "run-1", "run-2"]
    assert list(frame["n"]) == [0, 1, 2]
    assert list(frame["state"]) == ["succeeded", "failed", "succeeded"]
    assert frame["rmse"].isna().tolist() == [False, True, False]
