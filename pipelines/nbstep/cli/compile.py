"""``nbstep compile``: a notebook as a component, or a pipeline as YAML, for Kubeflow Pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from nbstep.cli.common import Storage, chosen, reaching
from nbstep.cli.parameters import Pair
from nbstep_runner.cli.cell_options import KERNEL_NAME
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import StorageUnavailableError, UsageError

TYPED: Final = Pair("name=type", empty=False)


@click.command("compile")
@click.argument("notebook", required=False)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The YAML file; standard output without it.")
@click.option("--pipeline", metavar="FILE[:NAME]", help="Compile the pipeline of a Python file instead of a notebook.")
@click.option("--image", help="The container image, by digest or an immutable tag.")
@click.option("--name", help="The component's name; the notebook's file name if not given.")
@click.option("--input", "inputs", type=TYPED, multiple=True, help="An artifact that comes in: data=Dataset.")
@click.option("--result", "results", type=TYPED, multiple=True, help="What the notebook reports: rmse=float.")
@click.option("--artifact", "artifacts", type=TYPED, multiple=True, help="What it writes: model=Model.")
@click.option("--runs", metavar="URI", help="Where the runner itself keeps notebook, log and record.")
@click.option("--retries", type=click.IntRange(min=0), help="How often the step itself repeats what may pass.")
@click.option(
    "--keep-state/--no-keep-state",
    "state",
    default=None,
    help="Keep each run's state from attempt to attempt, in RUNS.",
)
@click.option("--profile", help="Gives image, runs, deadlines, retries and state, and says how stores are reached.")
@click.option("--source", metavar="URI", help="Where the container finds the notebook, instead of embedding it.")
@click.option("--upload-to", metavar="URI", help="A folder for the notebook, instead of embedding it.")
@click.option("--html/--no-html", default=True, help="Deliver the executed notebook as HTML too.")
@KERNEL_NAME
@reaching
def command(notebook: str | None, output: str | None, pipeline: str | None, storage: Storage, **options: Any) -> None:
    """Make a component from NOTEBOOK, its inputs typed by its parameters cell, or compile a pipeline.

    A component is plain YAML that any SDK of Kubeflow Pipelines 2 loads. --pipeline imports the file, so its code runs.
    """
    if (notebook is None) == (pipeline is None):
        raise click.UsageError("Give a NOTEBOOK or --pipeline FILE.")
    with _warnings_for_people():
        text = _pipeline(pipeline, options | storage) if pipeline else _component(str(notebook), storage, options)
    if output is None:
        click.echo(text, nl=False)
        return
    _write(Path(output), text)
    click.echo(f"wrote {output}")


@contextmanager
def _warnings_for_people() -> Iterator[None]:
    """Tell what is warned of in one line each, without a place in our source."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", UserWarning)
        yield
    for told in dict.fromkeys(str(one.message) for one in found if issubclass(one.category, UserWarning)):
        click.echo(f"nbstep: {told}", err=True)


def _component(notebook: str, storage: Storage, options: dict[str, Any]) -> str:
    from nbstep.profiles import Profile
    from nbstep.steps import notebook_step
    from nbstep.steps.component import component_yaml

    if not options["image"] and not options["profile"]:
        raise click.UsageError("Missing option '--image'.")
    if storage:
        named = options["profile"]
        options["profile"] = (
            chosen(named, None, storage) if named else Profile(retries=0, storage=StorageOptions(**storage))
        )
    for group in ("inputs", "results", "artifacts"):
        options[group] = dict(options[group])
    return component_yaml(notebook_step(notebook, **options))


def _pipeline(place: str, options: dict[str, Any]) -> str:
    given = [name for name, value in options.items() if value and name != "html"]
    if given:
        raise click.UsageError(
            f"--pipeline takes no --{given[0].rstrip('s').replace('_', '-')}: its steps have theirs."
        )
    file, _, name = place.partition(":")
    try:
        from nbstep.steps.kfp.pipelines import compile_pipeline
    except ImportError as error:
        raise UsageError("pipelines need the kfp SDK", hint="Install it: pip install 'nbstep[kfp]'.") from error
    return compile_pipeline(file, name or None)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    except OSError as error:
        raise StorageUnavailableError(
            f"{file} cannot be written: {error.strerror or error}", hint="Name a place that you may write to."
        ) from error
