"""``nbstep endpoints``: the endpoints of a folder."""

from __future__ import annotations

import click

from nbstep.cli.common import AS_JSON, Storage, chosen, described_endpoint, where
from nbstep.cli.output import show_json, show_table


@click.command("endpoints")
@where
@AS_JSON
def command(profile: str | None, runs: str | None, storage: Storage, as_json: bool) -> None:
    """List the endpoints whose runs lie below a folder, and how each stands now."""
    from nbstep.endpoints.endpoint import list_endpoints

    found = [(endpoint, endpoint.status()) for endpoint in list_endpoints(chosen(profile, runs, storage))]
    if as_json:
        show_json([described_endpoint(endpoint, status) for endpoint, status in found])
        return
    rows = [(each.name, str(status.state), status.url, status.words) for each, status in found]
    show_table(("NAME", "STATE", "URL", "WORDS"), rows)
