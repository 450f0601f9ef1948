"""Pictures of what people see of runs: ``python docs/images/make_views.py [FOLDER]``, with Chromium on ``PATH``.

Each view is drawn from data that stands here, in a light and in a dark theme, side by side.
"""

from __future__ import annotations

import json
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
from nbstep_runner.contract import CellRecord, CellState, Environment, ErrorInfo, RunResult, RunState
from nbstep_runner.engine.cells import title_of
from nbstep_runner.page import render_page

FOLDER = Path(__file__).parent
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "flights.ipynb"
SECONDS = (0.01, 1.9, 0.02, 2.4, 1.1, 0.03, 21.7, 0.6, 1.2, 0.8, 0.2)
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


def page() -> bytes:
    """The page of a run that failed in its training."""
    notebook = json.loads(NOTEBOOK.read_bytes())
    code = [(index, cell) for index, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code"]
    states = [CellState.SUCCEEDED] * 6 + [CellState.FAILED] + [CellState.NOT_RUN] * (len(code) - 7)
    cells = tuple(
        CellRecord(
            index=index, id=cell["id"], state=state, title=title_of(cell),
            execution_count=None if state is CellState.NOT_RUN else number,
            seconds=None if state is CellState.NOT_RUN else seconds,
        )
        for number, ((index, cell), state, seconds) in enumerate(zip(code, states, SECONDS, strict=True), start=1)
    )  # fmt: skip
    error = ErrorInfo(
        reference="cell-failed", message="cell 11 raised ValueError: Input X contains NaN.", cell_index=cells[6].index
    )
    failed = replace(
        record(RunState.FAILED, 0, error=error, seconds=27.4, exit_code=10, results={"rows": 41254}), cells=cells,
        environment=Environment(python="3.11.9", nbstep="0.2.0", platform="Linux", kernel="python3"),
        started_at="2026-01-02T12:00:01+00:00",
    )  # fmt: skip
    return render_page(json.dumps(notebook).encode(), failed).content


def themed(html: str, theme: str, width: int) -> str:
    """A view on a page of a theme."""
    ground, text = THEMES[theme]
    style = f"background:{ground};color:{text};color-scheme:{theme};width:{width}px;padding:12px"
    return f'<div style="{style}">{html}</div>'


def framed(file: str, theme: str, width: int, height: int) -> str:
    """A whole page as it is in a theme."""
    return f'<iframe src="{file}" style="color-scheme:{theme};border:0;width:{width}px;height:{height}px"></iframe>'


def picture(file: Path, html: str, size: tuple[int, int], page: bytes = b"") -> None:
    """Draw HTML into a file; ``page.html`` is there for its frames."""
    browser = shutil.which("chromium") or sys.exit("chromium is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.html").write_bytes(page)
        drawn = Path(folder) / "picture.html"
        drawn.write_text(f'<meta charset="utf-8"><body style="margin:0;display:flex;align-items:stretch">{html}')
        subprocess.run(  # noqa: S603 - the browser, no shell
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={folder}/profile",
                f"--window-size={size[0]},{size[1]}", f"--screenshot={file}", drawn.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def main(folder: Path) -> None:
    """Draw every picture into a folder."""
    whole = page()
    for name, html, height in (("card.png", cards(), 740), ("sweep.png", sweep(), 520)):
        picture(folder / name, "".join(themed(html, theme, 600) for theme in THEMES), (1248, height))
    picture(folder / "page.png", "".join(framed("page.html", theme, 700, 900) for theme in THEMES), (1400, 900), whole)
    both = themed(cards(), "light", 600) + framed("page.html", "dark", 700, 740)
    picture(folder / "views.png", both, (1324, 740), whole)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else FOLDER)
