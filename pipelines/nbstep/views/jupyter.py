"""A run as Jupyter shows it: state, progress, the failing cell, links."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from nbstep.views.status import RunStatus
from nbstep_runner.contract import CellState, RunResult, RunState
from nbstep_runner.errors import NbstepError

COLOURS: Final = {
    RunState.SUCCEEDED: "#1a7f37",
    RunState.FAILED: "#cf222e",
    RunState.LOST: "#cf222e",
    RunState.CANCELLED: "#9a6700",
    RunState.RUNNING: "#0969da",
    RunState.PENDING: "#57606a",
}


class Card:
    """One run's place in a notebook's output, which always shows the newest that was told of the run."""

    def __init__(self, run_id: str, *, handle: str, output_uri: str) -> None:
        self._run_id = run_id
        self._handle = handle
        self._output_uri = output_uri
        self._display: Any = None

    def show(self, look: RunStatus | Exception) -> None:
        """Show how the run stands, or why that cannot be known."""
        from IPython import display

        library: Any = display  # its functions are not annotated
        page = library.HTML(self.as_html(look))
        if self._display is None:
            self._display = library.display(page, display_id=True)
        else:
            self._display.update(page)

    def as_html(self, look: RunStatus | Exception) -> str:
        """What is shown. All text is escaped: what a notebook says of itself is no markup."""
        name = escape(self._run_id)
        if isinstance(look, Exception):
            why = look.message if isinstance(look, NbstepError) else repr(look)
            return f"<div><b>{name}</b>: {escape(why)}</div>"
        head = f"<b>{name}</b> <b style='color:{COLOURS[look.state]}'>{look.state}</b>"
        return f"<div>{head}{''.join(f'<div>{line}</div>' for line in self._lines(look))}</div>"

    def _lines(self, status: RunStatus) -> Iterator[str]:
        record = status.record
        if status.words and (record is None or record.error is None):
            yield escape(status.words)
        yield from (escape(problem) for problem in status.problems if problem not in status.words)
        if record is not None:
            yield from _record_lines(record)
        if status.state.final and record is not None and record.output_version:
            yield f"executed notebook: {_link(self._output_uri)}"
        if record is not None and record.html_uri:
            yield f"HTML: {_link(record.html_uri)}"
        yield f"<code>{escape(self._handle)}</code>"


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
