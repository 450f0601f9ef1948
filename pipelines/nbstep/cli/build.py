"""``nbstep build``: an image for a notebook, named by what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nbstep.cli.output import show_json
from nbstep.cli.parameters import Pair
from nbstep_runner.errors import BadInputError, UsageError

if TYPE_CHECKING:
    from nbstep.images.plan import BuildPlan, ImageRequest

JOB: Final = "job"


@click.command("build")
@click.argument("notebook", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The image's name without a tag, such as registry/team/train; else the notebook's.")
@click.option("--base", envvar="NBSTEP_BASE_IMAGE", help="The image to build on.  [default: nbstep-runner:slim]")
@click.option(
    "-r",
    "--requirements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Requirements, pinned with hashes or not; else requirements.lock or .txt beside the notebook.",
)
@click.option("--file", "files", multiple=True, metavar="PATH", help="A file or folder for the working directory.")
@click.option("--apt", multiple=True, metavar="PACKAGE", help="A Debian package.")
@click.option("-k", "--kernel", help="A kernel to install (python3, bash, ir); else the one that the notebook names.")
@click.option("--platform", help="Such as linux/arm64; the builder's own otherwise.")
@click.option(
    "--secret",
    "secrets",
    type=Pair("id=path", empty=False),
    multiple=True,
    help="For the build alone: pip.conf, ca.pem.",
)
@click.option("--network", help="The build's network.")
@click.option("--builder", "builder_name", type=click.Choice(["docker", "podman", "buildah", JOB]), help="What builds.")
@click.option("--push", is_flag=True, help="Publish it, with SBOM and provenance where the builder makes them.")
@click.option("--force", is_flag=True, help="Build even if an image of these inputs is there.")
@click.option("--dry-run", is_flag=True, help="Print the Dockerfile and the list of its context, and build nothing.")
@click.option("--namespace", help="With --builder job: the namespace.")
@click.option("--registry-secret", help="With --builder job: the Secret to push with.")
@click.option("--build-secret", help="With --builder job: the Secret that holds pip.conf and ca.pem.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(notebook: Path | None, builder_name: str | None, **options: Any) -> None:
    """Build an image with what NOTEBOOK needs, and print its name.

    The tag is the digest of everything that goes in, so that an unchanged image is not built again. The notebook is
    not in it: a changed notebook needs no build. With --builder job the manifests of a Job that builds and pushes it
    are printed.
    """
    from nbstep.images.builders import build_if_absent, builder

    wanted = _wanted(notebook, options)
    if builder_name == JOB:
        _print_job(wanted, options)
        return
    chosen = builder(builder_name)
    if not options["dry_run"]:
        chosen.provide(wanted.base)
    plan = _planned(wanted, chosen.identify)
    if options["dry_run"]:
        click.echo(plan.describe(), nl=False)
        return
    built = build_if_absent(chosen, plan, push=options["push"], force=options["force"])
    _answer(plan, built=built, as_json=options["as_json"])


def _wanted(notebook: Path | None, options: dict[str, Any]) -> ImageRequest:
    from nbstep.images.plan import (
        DEFAULT_BASE,
        ImageRequest,
        checked_repository,
        repository_for,
        requirements_beside,
        secret_files,
    )
    from nbstep.images.requirements import read_requirements

    if notebook is None and not options["name"]:
        raise UsageError("an image needs a name", hint="Name a notebook, or the image with --name.")
    requirements = options["requirements"]
    if not requirements and notebook and (requirements := requirements_beside(notebook)):
        click.echo(f"nbstep: with {requirements}", err=True)
    return ImageRequest(
        name=checked_repository(options["name"] or repository_for(notebook or "")),
        base=options["base"] or DEFAULT_BASE,
        requirements=read_requirements(requirements).text if requirements else None,
        files=options["files"],
        apt=options["apt"],
        kernel=options["kernel"] or _kernel_of(notebook),
        platform=options["platform"],
        secrets=secret_files(dict(options["secrets"])),
        network=options["network"],
    )


def _planned(wanted: ImageRequest, identify: Any) -> BuildPlan:
    from nbstep.images.plan import plan

    planned = plan(wanted, identify)
    if not planned.pinned:
        click.echo(
            f"nbstep: {wanted.base} is known by its name only: the tag does not change with its content. "
            "Name it with its digest (@sha256:…).",
            err=True,
        )
    return planned


def _answer(plan: BuildPlan, *, built: bool, as_json: bool) -> None:
    if as_json:
        show_json({"image": plan.image, "inputs": f"sha256:{plan.digest}", "built": built})
        return
    if not built:
        click.echo("nbstep: an image of these inputs is there; nothing was built", err=True)
    click.echo(plan.image)


def _print_job(wanted: ImageRequest, options: dict[str, Any]) -> None:
    from nbstep.backends.kubernetes.text import as_yaml
    from nbstep.images.job import manifests

    plan = _planned(wanted, lambda _: None)
    documents = manifests(
        plan,
        namespace=options["namespace"],
        registry_secret=options["registry_secret"],
        build_secret=options["build_secret"],
    )
    click.echo(as_yaml(*documents), nl=False)


def _kernel_of(notebook: Path | None) -> str:
    """The kernel that a notebook names; any Python kernel is the base's own."""
    from nbstep.authoring.notebook import read_notebook
    from nbstep.images.recipe import KERNELS

    if notebook is None:
        return "python3"
    spec = read_notebook(str(notebook)).content.get("metadata", {}).get("kernelspec", {})
    name, language = spec.get("name", "python3"), spec.get("language", "python")
    if name not in KERNELS and language != "python":
        raise BadInputError(
            f"{notebook} wants the kernel {name!r}, which nbstep cannot install",
            hint=f"Build it into a base image of your own, then name --base and --kernel {next(iter(KERNELS))}.",
        )
    return name if name in KERNELS else "python3"
