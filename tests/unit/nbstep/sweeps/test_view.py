"""What a person sees of a sweep: how far it is while it goes, its table at the end; nothing in it drives a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.sweeps.view import MOST_RUNNING_SHOWN, SweepView, failures, sweep_table
from nbstep_runner.contract import ErrorInfo, RunState
from support.records import run_record

HOSTILE = "a\x1b[31m\u202eb[bold]c"


def ended(name: str, state: RunState = RunState.SUCCEEDED, **results: object) -> SweepRun:
    error = None if state is RunState.SUCCEEDED else ErrorInfo(reference="cell-failed", message="no such column")
    record = run_record(state, results=results, seconds=1.5, error=error)
    return SweepRun(name=name, parameters={"n": name}, output_uri="out", result=record)


def begun(name: str) -> SweepRun:
    return SweepRun(name=name, parameters={"n": name}, output_uri="out")


def drawn(view: SweepView) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(view._draw())
    return console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO


def test_the_view_counts_what_has_ended_and_names_what_runs() -> None:
    view = SweepView(Console(file=io.StringIO()), 4)
    for number in range(3):
        view.hear(number, begun(f"n={number}"))
    view.hear(0, ended("n=0"))
    view.hear(1, ended("n=1", RunState.FAILED))
    shown = drawn(view)
    assert "2 of 4 runs" in shown
    assert "1 failed" in shown
    assert "n=2  0 s" in shown
    assert "n=1" not in shown


def test_not_every_run_of_a_wide_sweep_is_named() -> None:
    view = SweepView(Console(file=io.StringIO()), 100)
    for number in range(50):
        view.hear(number, begun(f"run-{number}-"))
    assert sum(f"run-{number}-" in drawn(view) for number in range(50)) == MOST_RUNNING_SHOWN


def test_a_context_draws_on_a_terminal_and_leaves_it_clean() -> None:
    screen = io.StringIO()
    with SweepView(Console(file=screen, width=80, force_terminal=True), 1) as view:
        view.hear(0, begun("n=1"))
        view.hear(0, ended("n=1"))
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")  # the cursor is there again


def test_the_table_has_a_row_a_run_and_drives_nothing() -> None:
    runs = (ended("1", rmse=0.25, note=HOSTILE), ended(HOSTILE, RunState.FAILED), begun("3"))
    console = Console(file=io.StringIO(), width=120)
    console.print(sweep_table(Sweep(runs=runs)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    head, *rows = shown.splitlines()
    assert head.split() == ["n", "state", "time", "rmse", "note"]
    assert rows[0].split()[:2] == ["1", "succeeded"]
    assert len(rows) == 3
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown


def test_what_went_wrong_is_told_below_the_table_with_the_place_of_its_notebook() -> None:
    sweep = Sweep(runs=(ended("n=0"), ended("n=1", RunState.FAILED)))
    first, second = failures(sweep)
    assert first.plain == "n=1: no such column"
    assert second.plain == "  out"
    assert str(second.spans[0].style).startswith("link file://")
