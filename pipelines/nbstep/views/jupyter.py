"""A run as Jupyter shows it: state, progress, the failing cell, links; kept up to date until it has ended.

One thread of this process updates everything that is shown, however much that is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Final

from nbstep.runs.verdict import RunStatus
from nbstep_runner.contract import CellState, RunResult, RunState
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from nbstep.runs.run import Run

LOOK_SECONDS: Final = 2.0
COLOURS: Final = {
    RunState.SUCCEEDED: "#1a7f37",
    RunState.FAILED: "#cf222e",
    RunState.LOST: "#cf222e",
    RunState.CANCELLED: "#9a6700",
    RunState.RUNNING: "#0969da",
    RunState.PENDING: "#57606a",
}


def show(run: Run) -> None:
    """Show a run in the notebook's output, and keep it up to date."""
    from IPython import display

    put: Any = display.display
    _SHOWN.add(run, put(_html(page(run)), display_id=True))


def _html(text: str) -> Any:
    from IPython import display

    kind: Any = display.HTML
    return kind(text)


def page(run: Run) -> str:
    """A run's state as HTML; whatever keeps it from being known is said in it."""
    try:
        return as_html(run, run.status())
    except NbstepError as error:
        return _unknown(run, error.message)


def as_html(run: Run, status: RunStatus) -> str:
    """One status of a run. All text is escaped: what a notebook says of itself is no markup."""
    colour = COLOURS[status.state]
    head = f"<b>{escape(run.id)}</b> <b style='color:{colour}'>{status.state}</b>"
    return f"<div>{head}{''.join(f'<div>{line}</div>' for line in _lines(run, status))}</div>"


def _unknown(run: Run, why: str) -> str:
    return f"<div><b>{escape(run.id)}</b>: {escape(why)}</div>"


def _lines(run: Run, status: RunStatus) -> Iterator[str]:
    record = status.record
    if status.words and (record is None or record.error is None):
        yield escape(status.words)
    yield from (escape(problem) for problem in status.problems if problem not in status.words)
    if record is not None:
        yield from _record_lines(record)
    if status.state.final and record is not None and record.output_version:
        yield f"executed notebook: {_link(run.output_uri)}"
    if record is not None and record.html_uri:
        yield f"HTML: {_link(record.html_uri)}"
    yield f"<code>{escape(str(run))}</code>"


def _record_lines(record: RunResult) -> Iterator[str]:
    if record.cells:
        done = sum(cell.state is CellState.SUCCEEDED for cell in record.cells)
        took = f" in {record.seconds:.1f} s" if record.seconds is not None else ""
        yield f"{done} of {len(record.cells)} cells succeeded{took}"
    if record.error is not None:
        where = f"cell {record.error.cell_index}: " if record.error.cell_index is not None else ""
        yield f"<span style='color:#cf222e'>{escape(where + record.error.message)}</span>"
        if record.error.traceback:
            text = escape("\n".join(record.error.traceback))
            yield f"<details><summary>traceback</summary><pre>{text}</pre></details>"
    for name, value in record.results.items():
        yield f"{escape(name)} = {escape(repr(value)[:200])}"


def _link(uri: str) -> str:
    """A link where a browser can follow it; the name alone elsewhere."""
    shown = escape(uri)
    return f"<a href='{shown}' target='_blank'>{shown}</a>" if uri.startswith(("https://", "http://")) else shown


class _Shown:
    """What is shown and not final yet, updated by one thread for as long as there is any."""

    def __init__(self) -> None:
        self._shown: list[tuple[Run, Any]] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, run: Run, handle: Any) -> None:
        """Keep a display up to date."""
        with self._lock:
            self._shown.append((run, handle))
            if self._thread is None:
                self._thread = threading.Thread(target=self._update, name="nbstep-display", daemon=True)
                self._thread.start()

    def _update(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            with self._lock:
                shown = list(self._shown)
            ended = [each for each in shown if self._refresh(*each)]
            with self._lock:
                self._shown = [each for each in self._shown if each not in ended]
                if not self._shown:
                    self._thread = None
                    return

    def _refresh(self, run: Run, handle: Any) -> bool:
        """Show how a run stands now; whether that was for the last time."""
        try:
            status = run.status()
        except NbstepError as error:
            handle.update(_html(_unknown(run, error.message)))
            return False
        except Exception as error:  # noqa: BLE001 - one run that cannot be shown must not end the display of all
            handle.update(_html(_unknown(run, f"{error!r}; this display is not kept up to date any more")))
            return True
        handle.update(_html(as_html(run, status)))
        return status.state.final


_SHOWN: Final = _Shown()
