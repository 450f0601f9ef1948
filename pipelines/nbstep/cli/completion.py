"""``nbstep completion``: what a shell needs to complete our commands."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print shell completion: eval "$(nbstep completion bash)"."""
    from click.shell_completion import get_completion_class

    from nbstep.cli.main import PROGRAM, group

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(group, {}, PROGRAM, "_NBSTEP_COMPLETE").source())
