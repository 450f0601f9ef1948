"""How commands print data: a table for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import click
import msgspec

from nbstep_runner.nonfinite import written

GAP = "  "


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(written(msgspec.to_builtins(value, enc_hook=str))), indent=2))


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their heads, each column as wide as its widest cell."""
    for line in table(head, rows):
        click.echo(line)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; the last column is not padded."""
    cells = [tuple(head), *(tuple(map(_one_line, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
    return [GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _one_line(text: str) -> str:
    return " ".join(text.split())
