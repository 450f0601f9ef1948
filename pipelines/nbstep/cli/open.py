"""``nbstep open``: look at the executed notebook."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from nbstep.cli.common import RUN, Storage, found, where
from nbstep_runner.contract import PARTIAL_ENDING
from nbstep_runner.stores import sibling


@click.command("open")
@RUN
@where
@click.option("--print", "only_print", is_flag=True, help="Print where the file is instead of opening it.")
def command(run: str, profile: str | None, runs: str | None, storage: Storage, only_print: bool) -> None:
    """Open a run's executed notebook, as HTML where there is HTML. Of a run under way, the newest checkpoint."""
    submitted = found(run, profile, runs, storage)
    output = submitted.output_uri
    for uri in (submitted.html_uri, output, sibling(output, PARTIAL_ENDING)):
        stat = submitted.store.stat(uri)
        if stat is not None:
            path = Path(uri) if "://" not in uri else _fetched(submitted.store.read(uri).data, uri)
            break
    else:
        raise submitted.no_notebook()
    click.echo(str(path))
    if not only_print:
        click.launch(str(path))


def _fetched(data: bytes, uri: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nbstep-"))
    path = folder / uri.rpartition("/")[2]
    path.write_bytes(data)
    return path
