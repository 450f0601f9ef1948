"""``nbstep params``: what a notebook can be given."""

from __future__ import annotations

from typing import Any

import click

from nbstep.authoring.notebook import read_notebook
from nbstep.cli.common import Storage, reaching
from nbstep.cli.output import show_json, show_table
from nbstep_runner.contract import StorageOptions
from nbstep_runner.parameters import MISSING, Parameter, Signature, read_signature, signature_schema


@click.command("params")
@click.argument("notebook")
@click.option("-l", "--language", help="The notebook's language, whatever the notebook says.")
@click.option("--json", "as_json", is_flag=True, help="Print the parameters as JSON.")
@click.option("--schema", is_flag=True, help="Print JSON Schema of the parameters.")
@reaching
def command(notebook: str, language: str | None, storage: Storage, as_json: bool, schema: bool) -> None:
    """Show a notebook's parameters: name, type, default and what the comments say."""
    signature = read_signature(read_notebook(notebook, StorageOptions(**storage)).content, language=language)
    if schema:
        show_json(signature_schema(signature))
    elif as_json:
        show_json(_described(signature))
    elif not signature.declared:
        click.echo(f"No cell is tagged 'parameters'. Tag one: nbstep tag {notebook}")
    elif not signature.parameters:
        click.echo("The parameters cell declares none.")
    else:
        show_table(("NAME", "TYPE", "DEFAULT", "HELP"), map(_row, signature.parameters))


def _described(signature: Signature) -> dict[str, Any]:
    return {
        "language": signature.language,
        "declared": signature.declared,
        "complete": signature.complete,
        "parameters": [_members(parameter) for parameter in signature.parameters],
    }


def _members(parameter: Parameter) -> dict[str, Any]:
    default = {} if parameter.default is MISSING else {"default": parameter.default}
    return {
        "name": parameter.name,
        "type": parameter.annotation,
        "required": parameter.required,
        "default_source": parameter.default_source,
        "help": parameter.help,
        **default,
    }


def _row(parameter: Parameter) -> tuple[str, ...]:
    kind = parameter.annotation or (type(parameter.default).__name__ if parameter.default is not MISSING else "-")
    return parameter.name, kind, "(required)" if parameter.required else parameter.default_source, parameter.help
