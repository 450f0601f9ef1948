"""Runs side by side as HTML: parameters, state, time, results, and a result against the parameters as plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nbstep.views.links import page_link
from nbstep.views.plot import scatter
from nbstep.views.table import Html, table
from nbstep_runner.contract import FILES, RunResult, RunState
from nbstep_runner.nonfinite import is_number
from nbstep_runner.page import badge, cut, shown
from nbstep_runner.stores import below, sibling

MOST_PLOTS: Final = 6
MOST_FILES: Final = 3
_MOST_POINTS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of a table.

    Attributes:
        seconds: ``None`` where it has not ended.
        error: What went wrong, in a sentence; empty if nothing did.
        files: What came back of the working directory: paths there, and where they lie now.
    """

    name: str
    state: RunState
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    results: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    files: tuple[tuple[str, str], ...] = ()


def row_of(record: RunResult) -> Row:
    """A run's row, from its record."""
    return Row(
        name=record.run_id,
        state=record.state,
        parameters=record.parameters,
        seconds=record.seconds,
        results=record.results,
        error=record.error.message if record.error else "",
        files=tuple((file.path, below(sibling(record.output_uri, FILES), file.path)) for file in record.files),
    )


class Records(list[RunResult]):
    """Records that show as a table in a notebook."""

    def _repr_html_(self) -> str:
        return runs_table([row_of(record) for record in self], title="Runs")


def runs_table(rows: Sequence[Row], *, title: str, named: bool = True) -> str:
    """A table of runs that can be sorted by each column.

    Args:
        rows: In the order in which they are shown first.
        title: What a screen reader calls it.
        named: Whether the runs' names are a column.
    """
    parameters, results = _names(row.parameters for row in rows), _names(row.results for row in rows)
    heads = [*(["run"] if named else []), *parameters, "state", "seconds", *results]
    cells = [list(_cells(row, parameters, results, named=named)) for row in rows]
    keys = [list(_keys(row, parameters, results, named=named)) for row in rows]
    if any(row.files for row in rows):
        heads.append("files")
        _add(cells, [_files(row) for row in rows])
        _add(keys, [len(row.files) for row in rows])
    if any(row.error for row in rows):
        heads.append("error")
        _add(cells, [cut(row.error, 200) for row in rows])
        _add(keys, [row.error or None for row in rows])
    return table(heads, cells, keys=keys, title=title)


def _add(lines: Sequence[list[Any]], column: Sequence[Any]) -> None:
    """Add a column at the right."""
    for line, cell in zip(lines, column, strict=True):
        line.append(cell)


def _files(row: Row) -> Html:
    links = [page_link(uri, cut(path, 60)) for path, uri in row.files[:MOST_FILES]]
    more = [f"and {len(row.files) - MOST_FILES} more"] if len(row.files) > MOST_FILES else []
    return Html(", ".join([*links, *more]))


def status_table(state: RunState, words: str, problems: Sequence[str]) -> str:
    """How one run stands, as a table."""
    return table(["state", "what is known"], [[Html(badge(state)), "; ".join([words, *problems])]], title="Status")


def plots(rows: Sequence[Row], result: str) -> str:
    """A result against each parameter that is a number and varies."""
    return "".join(_plots(rows, result))


def _names(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _cells(row: Row, parameters: Sequence[str], results: Sequence[str], *, named: bool) -> Iterator[str]:
    if named:
        yield row.name
    yield from (shown(row.parameters[name]) if name in row.parameters else "" for name in parameters)
    yield Html(badge(row.state))
    yield "" if row.seconds is None else f"{row.seconds:.2f}"
    yield from (shown(row.results[name]) if name in row.results else "" for name in results)


def _keys(row: Row, parameters: Sequence[str], results: Sequence[str], *, named: bool) -> Iterator[Any]:
    if named:
        yield row.name
    yield from (row.parameters.get(name) for name in parameters)
    yield str(row.state)
    yield row.seconds
    yield from (row.results.get(name) for name in results)


def _plots(rows: Sequence[Row], result: str) -> Iterator[str]:
    for name in _names(row.parameters for row in rows)[:MOST_PLOTS]:
        pairs: list[tuple[Any, Any]] = [(row.parameters.get(name), row.results.get(result)) for row in rows]
        points = [(float(a), float(b)) for a, b in pairs if is_number(a) and is_number(b)]
        if len({a for a, _ in points}) > 1:
            yield scatter(points[:_MOST_POINTS], x=name, y=result)
