"""``--help-notebook``: the notebook's parameters, as papermill shows them."""

from __future__ import annotations

import click

from nbstep_runner.contract import STANDARD_STREAM, StorageOptions
from nbstep_runner.notebook import parse_notebook, read_standard_input
from nbstep_runner.parameters import Parameter, read_signature
from nbstep_runner.stores import open_store


def show_parameters(uri: str, storage: StorageOptions, kernel: str | None, language: str | None) -> int:
    """Print name, type, default and comment of each parameter.

    Raises:
        BadInputError, InputNotFoundError: The notebook cannot be read.
    """
    data = read_standard_input() if uri == STANDARD_STREAM else open_store(uri, storage).read(uri).data
    signature = read_signature(parse_notebook(data, uri).content, language=language, kernel=kernel)
    click.echo(f"Usage: nbstep-runner [OPTIONS] {uri} OUTPUT [PARAMS]\n\nParameters inferred for notebook {uri!r}:")
    if not signature.declared:
        click.echo("  No cell is tagged 'parameters'.")
    elif not signature.parameters:
        click.echo("  The parameters cell declares none.")
    for parameter in signature.parameters:
        click.echo(f"  {_line(parameter)}")
    return 0


def _line(parameter: Parameter) -> str:
    kind = parameter.annotation or "Unknown type"
    default = "required" if parameter.required else f"default {parameter.default_source}"
    comment = f"\n      {parameter.help}" if parameter.help else ""
    return f"{parameter.name}: {kind} ({default}){comment}"
