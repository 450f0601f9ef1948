"""The header above the notebook on its page: how the run ended, its results, the time of each cell, and where it ran.

It is HTML without a script. What a notebook says of itself is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from nbstep_runner.contract import FILES, CellRecord, CellState, CollectedFile, Environment, RunResult
from nbstep_runner.page.values import badge, cut, duration, gone_on_from, shown
from nbstep_runner.stores import link_below, sibling

MOST_BARS: Final = 500
MOST_FILES: Final = 100
_BAD: Final = {CellState.FAILED, CellState.TIMED_OUT, CellState.INTERRUPTED}
_NAME: Final = 200
_MESSAGE: Final = 2000


def anchor_of(cell_id: str) -> str:
    """The name by which a page's links reach a cell, as nbconvert gives it."""
    return f"cell-id={cell_id}"


def header(record: RunResult) -> str:
    """The header of a run's page.

    Args:
        record: Of the run; its times are those so far. A cell that can be gone to has an id.
    """
    return f'<header class="nbstep-run">{"".join(_parts(record))}</header>'


def _parts(record: RunResult) -> Iterator[str]:
    name = record.input_uri.rpartition("/")[2] or record.input_uri
    took = "" if record.seconds is None else f" in {duration(record.seconds, 2)}"
    yield f"<h1>{badge(record.state)} {escape(cut(name, _NAME))}{took}</h1>"
    yield from _error(record)
    yield from (f'<p class="nbstep-warning">{escape(cut(each, _MESSAGE))}</p>' for each in record.warnings)
    yield '<div class="nbstep-columns">'
    yield _values("Parameters", record.parameters)
    yield _values("Results", record.results)
    yield _values("Run", facts(record))
    yield from _files(record)
    yield "</div>"
    if record.environment is not None:
        yield _environment(record.environment)
    if record.cells:
        yield from _cells(record.cells)


def _error(record: RunResult) -> Iterator[str]:
    error = record.error
    if error is None:
        return
    yield f"<p><strong>{escape(cut(error.message, _MESSAGE))}</strong></p>"
    cell = next((each for each in record.cells if each.index == error.cell_index), None)
    if error.hint and cell is None:
        yield f"<p>{escape(cut(error.hint, _MESSAGE))}</p>"
    if cell is not None and cell.id:
        yield f'<p class="nbstep-jump">{_link(cell, f"Go to the cell that {_fate(cell)}: {_label(cell)}")}</p>'


def _fate(cell: CellRecord) -> str:
    return {CellState.TIMED_OUT: "timed out", CellState.INTERRUPTED: "was interrupted"}.get(cell.state, "failed")


def facts(record: RunResult) -> dict[str, Any]:
    """What a run is and when it began, by the words for it, and its labels."""
    known = {
        "notebook": record.input_uri,
        "run": record.run_id,
        "attempt": record.attempt if record.attempt > 1 else None,
        "went on from": gone_on_from(record) or None,
        "state saved": record.state_generation and f"generation {record.state_generation}",
        "started": f"{record.started_at[:19].replace('T', ' ')} UTC" if record.started_at else None,
        "exit code": record.exit_code,
    }
    return {name: value for name, value in known.items() if value is not None} | record.labels


def environment_facts(environment: Environment) -> dict[str, str]:
    """What a run had around it, by the words for it."""
    known = {
        "Python": environment.python,
        "nbstep": environment.nbstep,
        **environment.packages,
        "kernel": environment.kernel,
        "image": environment.image,
        "pod": environment.pod and "/".join(filter(None, (environment.namespace, environment.pod))),
        "on": environment.platform,
    }
    return {name: value for name, value in known.items() if value}


def _environment(environment: Environment) -> str:
    known = environment_facts(environment).items()
    told = (f"{escape(name)} <code>{escape(cut(value, _NAME))}</code>" for name, value in known)
    return f"<section><h2>Environment</h2><p>{', '.join(told)}</p></section>"


def _values(title: str, values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    rows = (f"<dt>{escape(cut(name, _NAME))}</dt><dd>{escape(shown(value))}</dd>" for name, value in values.items())
    return f"<section><h2>{title}</h2><dl>{''.join(rows)}</dl></section>"


def _files(record: RunResult) -> Iterator[str]:
    """Links to the files that came back of the working directory; they lie beside the page."""
    if not record.files:
        return
    folder = sibling(record.output_uri, FILES)
    yield f"<section><h2>Files</h2><dl>{''.join(_file(folder, file) for file in record.files[:MOST_FILES])}</dl>"
    if len(record.files) > MOST_FILES:
        yield f"<p>and {len(record.files) - MOST_FILES} more</p>"
    yield "</section>"


def _file(folder: str, file: CollectedFile) -> str:
    link = f'<a href="{escape(link_below(folder, file.path))}">{escape(cut(file.path, _NAME))}</a>'
    return f"<dt>{link}</dt><dd>{file.size:,} bytes</dd>"


def _cells(cells: tuple[CellRecord, ...]) -> Iterator[str]:
    """A bar for each cell; of very many the slowest, and those that did not succeed, in their order."""
    succeeded = sum(cell.state is CellState.SUCCEEDED for cell in cells)
    longest = max((cell.seconds or 0 for cell in cells), default=0) or 1
    yield f"<details open><summary>{succeeded} of {len(cells)} cells succeeded</summary>"
    ranked = sorted(cells, key=lambda cell: (cell.state not in _BAD, -(cell.seconds or 0)))
    kept = sorted(ranked[:MOST_BARS], key=lambda cell: cell.index)
    if len(kept) < len(cells):
        yield f"<p>Here are the {len(kept)} that took longest.</p>"
    yield '<ol class="nbstep-cells" tabindex="0" aria-label="Cells and their times">'
    yield from (_cell(cell, longest) for cell in kept)
    yield "</ol></details>"


def _cell(cell: CellRecord, longest: float) -> str:
    label = _link(cell, _label(cell)) if cell.id else escape(_label(cell))
    bad = ' class="nbstep-bad"' if cell.state in _BAD else ""
    fill = "" if cell.seconds is None else f'<i style="width:{100 * cell.seconds / longest:.1f}%"></i>'
    bar = f'<span class="nbstep-bar">{fill}</span>'
    words = "" if cell.seconds is None else duration(cell.seconds, 2)
    if cell.state is not CellState.SUCCEEDED:
        words = f"{str(cell.state).replace('_', ' ')}{words and f', {words}'}"
    return f"<li{bad}><span>{label}</span>{bar}<span>{words}</span></li>"


def _label(cell: CellRecord) -> str:
    count = " " if cell.execution_count is None else cell.execution_count
    return f"[{count}] {cut(cell.title, 60)}"


def _link(cell: CellRecord, text: str) -> str:
    return f'<a href="#{escape(anchor_of(cell.id or ""))}">{escape(text)}</a>'
