"""``nbstep ui``: the runs of a folder in a browser."""

from __future__ import annotations

from contextlib import suppress

import click

from nbstep.cli.common import Storage, chosen, where
from nbstep.errors import missing_package


@click.command("ui")
@where
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Listen there; on a free port otherwise.")
@click.option("--no-browser", is_flag=True, help="Print the address without opening it.")
def command(profile: str | None, runs: str | None, storage: Storage, port: int, *, no_browser: bool) -> None:
    """Serve the runs below a folder to this machine's browser and programs, until Ctrl-C.

    The address holds a token, without which nobody is answered. Notebooks of the working directory can be started.
    """
    try:
        from nbstep.server.here import config_here, serve_here
    except ModuleNotFoundError as error:
        raise missing_package("the service", error, "web") from error

    def tell(address: str) -> None:
        click.echo(address)
        if not no_browser:
            click.launch(address)

    with suppress(KeyboardInterrupt):  # that is how it is ended
        serve_here(config_here(chosen(profile, runs, storage), profile), port, tell)
