"""``nbstep server``: the service for a team."""

from __future__ import annotations

from pathlib import Path

import click

from nbstep.errors import missing_package
from nbstep_runner.errors import UsageError


@click.command("server")
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="What is served, and to whom.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--manifest", is_flag=True, help="Print what a cluster needs, and serve nothing.")
@click.option("--new-token", is_flag=True, help="Print a token, and what the file of tokens holds of it.")
def command(file: Path | None, host: str, port: int, *, manifest: bool, new_token: bool) -> None:
    """Serve the folders of runs that FILE names to those whom it lets in, until SIGTERM or Ctrl-C.

    It speaks HTTP: a proxy or an ingress before it has the certificate. With --manifest and without --config the
    configuration is an example to begin with.
    """
    try:
        from nbstep.server.config_file import read_config
        from nbstep.server.team.identity import new_entry
        from nbstep.server.team.manifest import manifests_of
        from nbstep.server.team.service import serve_team
    except ModuleNotFoundError as error:
        raise missing_package("the service", error, "web") from error

    if new_token:
        click.echo(new_entry())
        return
    if manifest:
        click.echo(manifests_of(file), nl=False)
        return
    if file is None:
        raise UsageError("there is nothing to serve", hint="Name a configuration: nbstep server --config FILE")
    serve_team(read_config(file), host, port, lambda address: click.echo(f"nbstep: serving at {address}", err=True))
