"""``nbstep stores``: every scheme and what it promises, or what one place truly does."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from nbstep.cli.common import AS_JSON, Storage, reaching
from nbstep.cli.output import show_json, show_table
from nbstep_runner.stores import SchemeInfo, describe, open_store, redact

if TYPE_CHECKING:
    from nbstep.profiles.trial import Trial


@click.command("stores")
@click.argument("folder", metavar="[URI]", required=False)
@click.option("--profile", help="A profile of the profiles file, for how the place is reached.")
@reaching
@AS_JSON
def command(folder: str | None, profile: str | None, storage: Storage, as_json: bool) -> None:
    """Show where notebooks can be read from and written to, or try a folder.

    ATOMIC: a reader never sees half an object. CONDITIONAL: of two runs that write one output, one loses.

    With URI, a folder: small objects are written, raced for, replaced under a reader, listed and removed there.
    """
    if folder is None:
        _show_schemes(as_json=as_json)
        return
    from nbstep.cli.common import chosen
    from nbstep.profiles.storage import absolute
    from nbstep.profiles.trial import try_place

    options, place = chosen(profile, None, storage).storage, absolute(folder)
    once = replace(options, retry_seconds=0)
    trial = try_place(place, lambda: open_store(place, options), lambda: open_store(place, once))
    if as_json:
        show_json({**asdict(trial), "folder": redact(place)})
    else:
        _show_trial(trial)


def _show_schemes(*, as_json: bool) -> None:
    schemes = describe()
    if as_json:
        show_json([asdict(scheme) for scheme in schemes])
        return
    show_table(("SCHEME", "INSTALLED", "ATOMIC", "CONDITIONAL", "NOTE"), map(_row, schemes))


def _row(scheme: SchemeInfo) -> tuple[str, ...]:
    installed = "yes" if scheme.installed else f"no: pip install 'nbstep[{scheme.extra}]'"
    return (
        f"{scheme.scheme}://",
        installed,
        _answer(scheme.atomic_replace),
        _answer(scheme.conditional_write),
        scheme.note,
    )


def _answer(promise: bool | None) -> str:
    return {True: "yes", False: "no", None: "found out"}[promise]


def _show_trial(trial: Trial) -> None:
    click.echo(redact(trial.folder))
    rows = [
        ("replaced in one step", _answer(trial.atomic_replace), _counted(trial.readers)),
        (
            "conditional writes",
            _answer(trial.conditional_write),
            f"winners of each race: {' '.join(map(str, trial.winners))}",
        ),
        ("verified", _answer(trial.verified), f"damaged bytes: {_DAMAGE[trial.damaged]}"),
        ("listed", _answer(trial.lists), ""),
        *((f"{name}", f"{1000 * seconds:.0f} ms", "") for name, seconds in trial.seconds.items()),
    ]
    show_table(("PROPERTY", "HERE", "SEEN"), rows)
    for sentence in trial.meaning:
        click.echo(sentence)


_DAMAGE = {
    "refused": "refused, what was there stays",
    "found": "found by reading back, what was there is lost",
    "none": "none, what is stored is what was read",
    "missed": "taken for good",
}


def _counted(readers: dict[str, int]) -> str:
    return "readers found: " + ", ".join(f"{kind} {count}" for kind, count in readers.items() if count)
