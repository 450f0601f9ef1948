"""Tables as HTML that sort without a script: each heading is a choice, and each row knows its place in every order.

With our style a table is laid out as a grid; without it, as a notebook is shown that is not trusted, it is a plain one.
The roles say again what the elements are, because what is laid out as a grid is no table any more to a screen reader.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from nbstep_runner.nonfinite import as_float

MOST_ROWS: Final = 200

# Jupyter stripes, pads and aligns the tables of its outputs: what it sets is set here again, by longer selectors.
STYLE: Final = """<style>
.nbstep-table{font-family:system-ui,sans-serif;font-size:13px;overflow-x:auto;margin:4px 0}
.nbstep-table table{display:inline-grid;gap:2px 16px;margin:0;border:0;font-size:inherit;color:inherit}
.nbstep-table thead,.nbstep-table tbody{display:contents}
.nbstep-table [role=table] tr[role]{display:grid;grid-column:1/-1;grid-template-columns:subgrid;padding:0;
background:none!important;border-bottom:1px solid rgba(128,128,128,.3)}
.nbstep-table .nbstep-head{order:-1}
.nbstep-table [role=table] th[role],.nbstep-table [role=table] td[role]{display:block;padding:0;text-align:left;
overflow-wrap:anywhere;max-width:32em}
.nbstep-table th{font-weight:600}
.nbstep-table [role=table] td.nbstep-number[role]{text-align:right;font-variant-numeric:tabular-nums}
.nbstep-table .nbstep-state{color:#fff;border-radius:10px;padding:0 8px;font-weight:600}
.nbstep-table input{position:absolute;opacity:0;width:1px;height:1px}
.nbstep-table label{cursor:pointer;text-decoration:underline dotted}
.nbstep-table input:checked+label{text-decoration:underline}
.nbstep-table input:focus-visible+label{outline:2px solid}
</style>"""


class Html(str):
    """Text that is markup already; any other text of a cell is escaped."""

    __slots__ = ()


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, keys: Sequence[Sequence[Any]] = (), title: str
) -> str:
    """A table as HTML.

    Args:
        heads: The names of the columns.
        rows: The texts of the cells, in the order of ``heads``; :class:`Html` where they are markup.
        keys: What each row sorts by, a value a column; rows whose value is ``None`` come last. Without it the table
            cannot be sorted.
        title: What a screen reader calls it.
    """
    kept = rows[:MOST_ROWS]
    name = f"nbstep-{secrets.token_hex(4)}"
    numeric = (
        [all(row[column] is None or _is_number(row[column]) for row in keys) for column in range(len(heads))]
        if keys
        else []
    )
    orders = [_order([row[column] for row in keys[: len(kept)]]) for column in range(len(heads))] if keys else []
    parts = [_rules(name, len(orders)), _head(heads, name if orders else "")]
    for number, row in enumerate(kept):
        places = "".join(f"--c{column}:{order[number]};" for column, order in enumerate(orders))
        cells = (
            f'<td role="cell"{_number_class(numeric, column)}>{_markup(cell)}</td>' for column, cell in enumerate(row)
        )
        parts.append(f'<tr role="row" style="{places}">{"".join(cells)}</tr>')
    more = f"<p>and {len(rows) - len(kept)} more</p>" if len(rows) > len(kept) else ""
    columns = f"grid-template-columns:repeat({len(heads)},auto)"
    grid = f'<table role="table" style="{columns}" aria-label="{escape(title)}">'
    rules, head, *body = parts
    inside = f"{grid}<thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"
    return f'{STYLE}{rules}<div class="nbstep-table" id="{name}">{inside}{more}</div>'


def _markup(cell: str) -> str:
    return cell if isinstance(cell, Html) else escape(cell)


def _rules(name: str, columns: int) -> str:
    """The order of the rows that each choice makes."""
    rules = (f"#{name}:has(#{name}-{column}:checked) tbody tr{{order:var(--c{column})}}" for column in range(columns))
    return f"<style>{''.join(rules)}</style>" if columns else ""


def _head(heads: Sequence[str], name: str) -> str:
    cells = (
        f'<th role="columnheader"><input type="radio" name="{name}" id="{name}-{column}">'
        f'<label for="{name}-{column}" title="Sort by {escape(head)}">{escape(head)}</label></th>'
        if name
        else f'<th role="columnheader">{escape(head)}</th>'
        for column, head in enumerate(heads)
    )
    return f'<tr role="row" class="nbstep-head">{"".join(cells)}</tr>'


def _order(values: Sequence[Any]) -> list[int]:
    """The place of each value among all, by :func:`sort_key`."""
    ranked = sorted(range(len(values)), key=lambda index: sort_key(values[index]))
    places = [0] * len(values)
    for place, index in enumerate(ranked):
        places[index] = place
    return places


def sort_key(value: Any) -> tuple[int, float, str]:
    """What a value is ordered by: numbers by size, then texts by the alphabet, then what is missing."""
    if value is None or value != value:  # noqa: PLR0124 - NaN, which has no place among numbers
        return 2, 0.0, ""
    return (0, as_float(value), "") if _is_number(value) else (1, 0.0, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_class(numeric: Sequence[bool], column: int) -> str:
    return ' class="nbstep-number"' if numeric and numeric[column] else ""
