"""How commands print: tables for people, JSON for machines, warnings, and what would be sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click
import msgspec

from nbstep_runner.nonfinite import written

if TYPE_CHECKING:
    from nbstep.images.run_image import RunImage

GAP = "  "


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(written(msgspec.to_builtins(value, enc_hook=str))), indent=2))


def warn(warnings: Iterable[str]) -> None:
    """Tell on standard error what whoever starts something should know."""
    for warning in warnings:
        click.echo(f"nbstep: warning: {warning}", err=True)


def show_plan(text: str, image: RunImage | None) -> None:
    """Print what would be sent; on standard error, what would be built before."""
    if image is not None:
        click.echo(f"nbstep: the image {image.name} would be built if it is not there", err=True)
    click.echo(text, nl=False)


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their heads, each column as wide as its widest cell."""
    for line in table(head, rows):
        click.echo(line)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; the last column is not padded."""
    cells = [tuple(head), *(tuple(" ".join(cell.split()) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
    return [GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
