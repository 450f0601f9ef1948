"""``nbstep untag``: take the tag from the parameters cell."""

from __future__ import annotations

import click

from nbstep.authoring.notebook import read_as_written
from nbstep.authoring.tagging import tagged_cell, without_tag
from nbstep.cli.common import Storage, reaching
from nbstep.cli.tag import rewrite
from nbstep_runner.contract import StorageOptions


@click.command("untag")
@click.argument("notebook")
@reaching
def command(notebook: str, storage: Storage) -> None:
    """Take the tag from a notebook's parameters cell. Nothing else in the file changes."""
    stored = read_as_written(notebook, StorageOptions(**storage))
    index = tagged_cell(stored)
    if index is None:
        click.echo("No cell is tagged.")
        return
    rewrite(stored, without_tag(stored, index), storage)
    click.echo(f"Cell {index} of {notebook} is an ordinary cell now.")
