"""``nbstep files``: what a run has left of its working directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nbstep.cli.common import AS_JSON, RUN, found, where
from nbstep.cli.output import show_json
from nbstep.views.text import visible_line


@click.command("files")
@RUN
@where
@click.option("--download", "folder", type=click.Path(file_okay=False), metavar="DIR", help="Fetch them into DIR.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only these, such as '*.csv' or 'model/'.")
@AS_JSON
def command(run: str, folder: str | None, only: tuple[str, ...], as_json: bool, **place: Any) -> None:
    """List the files that a run has collected: size, and path in its working directory; fetch them with --download."""
    from nbstep.runs.files import chosen, file_uri

    submitted = found(run, **place)
    files = chosen(submitted.files(), only)
    if folder is not None:
        submitted.download(Path(folder), only=only)
    if as_json:
        show_json([{**asdict(file), "uri": file_uri(submitted.output_uri, file.path)} for file in files])
        return
    for file in files:
        click.echo(f"{file.size:>12}  {visible_line(file.path)}")
    record = submitted.record()
    if record is not None and (left := record.left_behind) is not None:
        names = ", ".join(map(visible_line, left.names)) + (", …" if left.count > len(left.names) else "")
        click.echo(f"nbstep: left behind, {left.count} of {left.size} bytes: {names}", err=True)
