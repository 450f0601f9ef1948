"""The runner's command line for a submitted run: the spec, and what the runner has to know before it can read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from nbstep_runner.contract import RunSpec, StorageOptions


def arguments(spec: RunSpec, spec_uri: str, share: str | None = None) -> list[str]:
    """What follows ``nbstep-runner``: storage options to reach the spec, and what the kernel's early start needs.

    Args:
        spec: Of the run.
        spec_uri: Where it lies; of a sweep, where its runs do.
        share: Of a sweep, the part to begin with.
    """
    what = ["--spec", spec_uri] if share is None else ["--sweep", spec_uri, "--share", share]
    return [*what, *storage_options(spec.storage), *_early_options(spec), "--log-format", "json"]


def storage_options(storage: StorageOptions) -> Iterator[str]:
    """The runner's options for those that are not at their default."""
    default = asdict(StorageOptions())
    for name, value in asdict(storage).items():
        if value != default[name]:
            option = name.replace("_", "-")
            match value:
                case bool():
                    yield f"--{option}" if value else f"--no-{option}"
                case float():
                    yield from (f"--{option}", f"{value:g}")
                case _:
                    yield from (f"--{option}", value)


def _early_options(spec: RunSpec) -> Iterator[str]:
    yield from ("--grace-period", f"{spec.deadlines.grace:g}")
    if spec.kernel:
        yield from ("--kernel", spec.kernel)
    if spec.working_directory:
        yield from ("--cwd", spec.working_directory)
    if spec.stock_kernel:
        yield "--stock-kernel"
    if spec.state:
        yield "--keep-state"
