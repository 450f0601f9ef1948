"""The image of a submitted run that has requirements: the profile's image, with them on top."""

from __future__ import annotations

from dataclasses import dataclass

from nbstep.images.builders import Builder, build_if_absent, builder
from nbstep.images.plan import BuildPlan, ImageRequest, checked_repository, plan, repository_for, secret_files
from nbstep.images.requirements import Requirements
from nbstep.profiles import BuildOptions, Profile
from nbstep_runner.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunImage:
    """An image that a run needs, and what builds it where it is not there yet."""

    plan: BuildPlan
    builder: Builder
    push: bool

    @property
    def name(self) -> str:
        """The image's name, with the digest of its inputs as the tag."""
        return self.plan.image

    def provide(self) -> bool:
        """Build the image if it is not there; whether it had to be built.

        Raises:
            BadInputError: It cannot be built.
            StorageUnavailableError: The registry does not take it.
        """
        return build_if_absent(self.builder, self.plan, push=self.push)


def run_image(notebook: str, requirements: Requirements, profile: Profile, *, publish: bool) -> RunImage:
    """Plan the image of a run. Builds nothing; the base is fetched, since its content is part of the name.

    Args:
        notebook: Names the image if the profile does not.
        requirements: What goes on top of the profile's image.
        profile: Its image is the base, its group ``build`` says how.
        publish: Push the image to its registry, unless the profile says otherwise.

    Raises:
        UsageError: No image to build on is named, no repository to push to, or no builder is installed.
        BadInputError: The base cannot be had.
    """
    options = profile.build
    if not profile.image:
        raise UsageError(
            "requirements are installed on top of an image, and none is named",
            hint="Name one with image=, or in the profile.",
        )
    push = publish if options.push is None else options.push
    wanted = ImageRequest(
        name=_repository(options, notebook, push=push),
        base=profile.image,
        requirements=requirements.text,
        platform=options.platform,
        secrets=secret_files(options.secrets),
        network=options.network,
    )
    chosen = builder(options.builder)
    chosen.provide(profile.image, pull=not push and profile.docker.pull)
    return RunImage(plan=plan(wanted, chosen.identify), builder=chosen, push=push)


def _repository(options: BuildOptions, notebook: str, *, push: bool) -> str:
    if options.repository is None and push:
        raise UsageError(
            "an image that is pushed needs the name of a repository",
            hint="Name it in the profile: build: {repository: registry.example.org/team/train}.",
        )
    return checked_repository(options.repository or repository_for(notebook))
