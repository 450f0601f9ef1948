"""A run as a card: HTML that needs no script and no fetch, and that is right on light and dark pages.

Text takes the page's own colour; only the badge of the state has colours of its own, white on a ground that is dark
enough for it (WCAG AA). Everything that a notebook says of itself is escaped. A card is at most :data:`LARGEST` bytes,
because a live one is sent again with each change and stays in the saved notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from nbstep.views.links import page_link
from nbstep.views.progress import RunningCell
from nbstep.views.status import RunStatus
from nbstep_runner.contract import FILES, LOG_ENDING, PAGE_ENDING, CellRecord, CellState, ErrorInfo, RunState
from nbstep_runner.page import badge, cut, duration, gone_on_from, shown
from nbstep_runner.stores import below, sibling

LARGEST: Final = 20_000

# Jupyter floats the terms of lists in its outputs, in a fifth of the width: what it sets is set here again.
STYLE: Final = """<style>
.nbstep{font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;border:1px solid rgba(128,128,128,.4);
border-radius:6px;padding:10px 14px;max-width:60em;margin:4px 0;overflow-wrap:anywhere}
.nbstep .nbstep-state{color:#fff;border-radius:10px;padding:1px 9px;font-weight:600;margin-right:4px}
.nbstep progress{width:12em;height:8px;vertical-align:middle;margin-right:4px;accent-color:#0b5cad}
.nbstep dl{display:grid;grid-template-columns:max-content 1fr;gap:0 12px;margin:6px 0}
.nbstep dt,.nbstep dd{float:none;width:auto;margin:0}
.nbstep dt{font-weight:600}.nbstep dd{font-family:ui-monospace,monospace}
.nbstep pre{max-height:20em;overflow:auto;margin:4px 0;font-size:12px;white-space:pre-wrap}
.nbstep p{margin:4px 0}.nbstep a{text-decoration:underline}.nbstep .nbstep-num{font-variant-numeric:tabular-nums}
</style>"""

_LINE: Final = 160
_FILES: Final = 6
_TRACEBACK: Final = 6_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CardData:
    """What a card shows.

    Attributes:
        status: How the run stands; ``None`` until that is known.
        problem: Why that cannot be known now.
        running: The cell under way.
        done: Code cells that have ended.
        cells: Code cells in all; 0 until that is known.
        elapsed: Seconds since the run's start.
        expected: Seconds that it took the last time; ``None`` where unknown.
        lines: The end of what the run has put out.
    """

    run_id: str
    handle: str
    output_uri: str
    status: RunStatus | None = None
    problem: str = ""
    running: RunningCell | None = None
    done: int = 0
    cells: int = 0
    elapsed: float | None = None
    expected: float | None = None
    lines: Sequence[str] = field(default=())


def card(data: CardData) -> str:
    """The card's HTML."""
    for bounds in _BOUNDS:
        html = _card(data, bounds)
        if len(html.encode()) <= LARGEST:
            break
    return html


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How much of each part is shown: lines, characters of a text, values of a kind."""

    log: int
    traceback: int
    text: int
    values: int


_BOUNDS: Final = (_Bounds(12, 60, 600, 16), _Bounds(0, 20, 200, 8), _Bounds(0, 0, 100, 0))
"""From what is shown of most runs to what fits even where every character is written as six."""


def _card(data: CardData, bounds: _Bounds) -> str:
    body = "".join(_parts(data, bounds))
    return f'{STYLE}<div class="nbstep" role="group" aria-label="Run {escape(cut(data.run_id, 100))}">{body}</div>'


def _parts(data: CardData, bounds: _Bounds) -> Iterator[str]:
    status = data.status
    state = status.state if status else RunState.PENDING
    yield f"<p>{badge(state)} <b>{escape(cut(data.run_id, 100))}</b> {_time(data, state)}</p>"
    if data.problem:
        yield f"<p>{escape(cut(data.problem, bounds.text))}</p>"
    record = status.record if status else None
    error = record.error if record else None
    if record and record.continued_from:
        yield f"<p>Attempt {record.attempt}, went on from {escape(gone_on_from(record))}</p>"
    if status and status.words and error is None and not (record and record.state.final):
        yield f"<p>{escape(cut(status.words, bounds.text))}</p>"
    if status:
        problems = [problem for problem in status.problems if problem not in status.words]
        yield from (f"<p>{escape(cut(problem, bounds.text))}</p>" for problem in problems[:6])
    if not state.final:
        yield _progress(data)
    elif record and record.cells:
        succeeded = sum(cell.state is CellState.SUCCEEDED for cell in record.cells)
        yield f"<p>{succeeded} of {len(record.cells)} cells succeeded</p>"
    if error:
        yield _error(error, record.cells if record else (), bounds)
    if record:
        yield _values("Parameters", record.parameters, bounds.values)
        yield _values("Results", record.results, bounds.values)
    if data.lines and bounds.log:
        text = escape("\n".join(cut(line, _LINE) for line in data.lines[-bounds.log :]))
        yield f'<details><summary>Last lines of the log</summary><pre tabindex="0">{text}</pre></details>'
    yield f"<p>{' · '.join(_links(data, state))}</p>"


def _time(data: CardData, state: RunState) -> str:
    record = data.status.record if data.status else None
    if state.final and record and record.seconds is not None:
        return f'<span class="nbstep-num">{duration(record.seconds, 2)}</span>'
    if data.elapsed is None:
        return ""
    expected = f", {duration(data.expected)} the last time" if data.expected is not None else ""
    return f'<span class="nbstep-num">{duration(data.elapsed)}{expected}</span>'


def _progress(data: CardData) -> str:
    if not data.cells:
        return ""
    words = f"{data.done} of {data.cells} cells"
    title = f": [*] {escape(cut(data.running.title, 100))}" if data.running and data.running.title else ""
    return f'<p><progress value="{data.done}" max="{data.cells}" aria-label="{words}"></progress> {words}{title}</p>'


def _error(error: ErrorInfo, cells: Sequence[CellRecord], bounds: _Bounds) -> str:
    failed = next((cell for cell in cells if cell.index == error.cell_index), None)
    number = "" if failed is None or failed.execution_count is None else failed.execution_count
    where = f"<p><b>[{number}] {escape(cut(failed.title, 100))}</b></p>" if failed else ""
    html = f"{where}<p>{escape(cut(error.message, bounds.text))}</p>"
    if error.hint:
        html += f"<p>{escape(cut(error.hint, bounds.text))}</p>"
    if error.traceback and bounds.traceback:
        text = escape("\n".join(error.traceback[-bounds.traceback :])[-_TRACEBACK:])
        html += f'<details open><summary>Traceback</summary><pre tabindex="0">{text}</pre></details>'
    return html


def _values(title: str, values: Mapping[str, Any], most: int) -> str:
    if not values or not most:
        return ""
    rows = [f"<dt>{escape(cut(name, 60))}</dt><dd>{escape(shown(value))}</dd>" for name, value in values.items()]
    more = f"<p>and {len(rows) - most} more</p>" if len(rows) > most else ""
    return f"<p>{title}</p><dl>{''.join(rows[:most])}</dl>{more}"


def _links(data: CardData, state: RunState) -> Iterator[str]:
    record = data.status.record if data.status else None
    if state.final and record is not None:
        places = {"notebook": record.output_version and data.output_uri}
        places["page"] = record.html_uri and sibling(data.output_uri, PAGE_ENDING)
        places["log"] = record.log_uri and sibling(data.output_uri, LOG_ENDING)
        for file in record.files[:_FILES]:
            places[cut(file.path, 60)] = below(sibling(data.output_uri, FILES), file.path)
        yield from (page_link(uri, name) for name, uri in places.items() if uri)
        if len(record.files) > _FILES:
            yield f"and {len(record.files) - _FILES} more files"
    yield f"<code>{escape(cut(data.handle, 300))}</code>"
