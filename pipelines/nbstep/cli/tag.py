"""``nbstep tag``: which cell holds the parameters."""

from __future__ import annotations

import sys

import click

from nbstep.authoring.notebook import StoredNotebook, read_as_written
from nbstep.authoring.tagging import likely_cell, tagged_cell, with_tag
from nbstep.cli.common import Storage, reaching
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.stores import open_store

SHOWN_LINES = 12


@click.command("tag")
@click.argument("notebook")
@click.option("--cell", type=click.IntRange(min=0), help="The cell's position, counted from 0.")
@click.option("-y", "--yes", is_flag=True, help="Tag the proposed cell without asking.")
@reaching
def command(notebook: str, cell: int | None, storage: Storage, yes: bool) -> None:
    """Tag a notebook's parameters cell.

    Without --cell the first cell that only assigns literals is proposed. Nothing else in the file changes.
    """
    stored = read_as_written(notebook, StorageOptions(**storage))
    tagged = tagged_cell(stored)
    if cell is None and tagged is not None:
        click.echo(f"Cell {tagged} is tagged already.")
        return
    index = _proposed(stored, yes=yes) if cell is None else cell
    rewrite(stored, with_tag(stored, index), storage)
    click.echo(f"Cell {index} is the parameters cell of {notebook}.")


def _proposed(stored: StoredNotebook, *, yes: bool) -> int:
    index = likely_cell(stored)
    if index is None:
        raise BadInputError("no cell only assigns literals", hint="Name the parameters cell with --cell N.")
    if yes:
        return index
    if not sys.stdin.isatty():
        raise UsageError(
            f"cell {index} looks like the parameters cell, and there is nobody to ask",
            hint=f"Confirm it with --yes, or name the cell with --cell {index}.",
        )
    for line in stored.source(index).splitlines()[:SHOWN_LINES]:
        click.echo(f"    {line}")
    click.confirm(f"Tag this cell ({index})?", default=True, abort=True)
    return index


def rewrite(stored: StoredNotebook, text: str, storage: Storage) -> None:
    """Put a changed notebook in the place of the one that was read, unless somebody changed it meanwhile.

    Raises:
        OutputConflictError: It is not the notebook that was read any more.
    """
    if text != stored.text:
        open_store(stored.uri, StorageOptions(**storage)).write(stored.uri, text.encode(), if_version=stored.version)
