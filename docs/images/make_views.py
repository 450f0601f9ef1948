"""Pictures of what a notebook shows of runs: ``python docs/images/make_views.py``, with Chromium on ``PATH``.

Each view is drawn from data that stands here, on a light and on a dark page, side by side.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.views.card import CardData, card
from nbstep.views.progress import RunningCell
from nbstep.views.status import RunStatus
from nbstep_runner.contract import CellRecord, CellState, ErrorInfo, RunResult, RunState

FOLDER = Path(__file__).parent
RUN_ID = "flights-20260102-120001-0c2e8a"
OUTPUT = "nbstep-runs/flights/output.ipynb"
THEMES = {"light": ("#ffffff", "#111111"), "dark": ("#111111", "#eeeeee")}
CELLS = ("Parameters", "Read the flights", "Features", "Train the model", "Evaluate", "Save the model")


def record(state: RunState, cells: int, **more: Any) -> RunResult:
    """The record of a run of the flights example."""
    states = [CellState.SUCCEEDED] * cells + [CellState.FAILED if state is RunState.FAILED else CellState.NOT_RUN]
    return RunResult(
        run_id=RUN_ID, attempt=1, spec_digest="", state=state, input_uri="flights.ipynb", output_uri=OUTPUT,
        output_version="1", html_uri="output.html", log_uri="output.log.jsonl",
        parameters={"DEVELOP_MODE": False, "BUCKET": "gs://flights"},
        cells=tuple(
            CellRecord(index=index, id=None, state=each, title=title, execution_count=index + 1)
            for index, (title, each) in enumerate(zip(CELLS, states, strict=False))
        ),
        **more,
    )  # fmt: skip


def cards() -> str:
    """A run under way, one that succeeded and one that failed."""
    error = ErrorInfo(
        reference="cell-failed", message="cell 3 raised ValueError: Input X contains NaN.", cell_index=3,
        hint="Open the executed notebook: the failing cell holds the full traceback.",
        traceback=("Cell In[4], line 1", "----> 1 model.fit(X, y)", "", "ValueError: Input X contains NaN."),
    )  # fmt: skip
    states: list[tuple[RunStatus, dict[str, Any]]] = [
        (RunStatus(state=RunState.RUNNING), {"running": RunningCell(3, CELLS[3], 0.0), "done": 3, "cells": 6}),
        (
            RunStatus(
                state=RunState.SUCCEEDED, record=record(RunState.SUCCEEDED, 6, seconds=31.2, results={"rmse": 0.291})
            ),
            {},
        ),
        (RunStatus(state=RunState.FAILED, record=record(RunState.FAILED, 3, seconds=12.6, error=error)), {}),
    ]
    data = CardData(run_id=RUN_ID, handle=f"k8s://prod/team-a/{RUN_ID}", output_uri=OUTPUT, elapsed=19.0, expected=30.0)
    return "".join(card(replace(data, status=status, **more)) for status, more in states)


def sweep() -> str:
    """Nine runs, one of which failed."""
    runs = []
    for number, (rate, trees) in enumerate((rate, trees) for rate in (0.01, 0.1, 0.3) for trees in (50, 100, 200)):
        failed = number == 2
        error = ErrorInfo(reference="out-of-memory", message="the kernel was killed for memory") if failed else None
        result = record(
            RunState.FAILED if failed else RunState.SUCCEEDED, 6, seconds=4 + trees / 40, error=error,
            results={} if failed else {"rmse": round(0.42 - rate / 2 - trees / 3000 + (number % 3) * 0.004, 3)},
        )  # fmt: skip
        runs.append(
            SweepRun(name=f"run-{number}", parameters={"rate": rate, "trees": trees}, output_uri="", result=result)
        )
    return Sweep(runs=tuple(runs))._repr_html_()


def picture(name: str, html: str, width: int, height: int) -> None:
    """Draw a page in both themes, and put the two side by side."""
    browser = shutil.which("chromium") or sys.exit("chromium is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        both = "".join(
            f'<div style="background:{ground};color:{text};color-scheme:{theme};width:{width}px;padding:12px">{html}'
            "</div>"
            for theme, (ground, text) in THEMES.items()
        )
        page = Path(folder) / "page.html"
        page.write_text(f'<meta charset="utf-8"><body style="margin:0;display:flex;align-items:stretch">{both}')
        subprocess.run(  # noqa: S603 - the browser, no shell
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={folder}/profile",
                f"--window-size={2 * (width + 24)},{height}", f"--screenshot={FOLDER / name}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    picture("card.png", cards(), 600, 740)
    picture("sweep.png", sweep(), 600, 520)
