"""What can go wrong on the launcher's side, in the runner's own vocabulary of codes and references."""

from __future__ import annotations

from typing import Final

from nbstep_runner import errors
from nbstep_runner.contract import ErrorInfo
from nbstep_runner.errors import ExitCode, NbstepError, Retry


class RunNotFoundError(NbstepError):
    """No run goes by that name."""

    exit_code = ExitCode.INPUT_NOT_FOUND
    reference = "run-not-found"
    retry = Retry.NEVER
    default_hint = "List the runs with: nbstep list --runs URI."


class ClusterUnavailableError(NbstepError):
    """The cluster's API did not answer past the retry budget."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE
    reference = "cluster-unavailable"
    retry = Retry.ALWAYS
    default_hint = "The run itself goes on: ask again when the cluster answers."


class ClusterDeniedError(NbstepError):
    """The cluster's API refuses what is asked."""

    exit_code = ExitCode.STORAGE_DENIED
    reference = "cluster-denied"
    retry = Retry.NEVER
    default_hint = "Check the kubeconfig's user and what its roles allow in this namespace."


class NotStartedError(NbstepError):
    """The run was never started: its place could not be had, or its image, or its secrets."""

    exit_code = ExitCode.KERNEL_UNAVAILABLE
    reference = "not-started"
    retry = Retry.NEVER
    default_hint = "Correct what the message names, and submit again."


class LostRunError(NbstepError):
    """The run's process vanished without a record."""

    exit_code = ExitCode.KERNEL_DIED
    reference = "lost"
    retry = Retry.ALWAYS
    default_hint = errors.LOST_HINT


class WaitTimeoutError(NbstepError):
    """The run had not ended when the caller stopped waiting; it goes on."""

    exit_code = ExitCode.TIMED_OUT
    reference = "still-running"
    retry = Retry.ALWAYS
    default_hint = "The run itself goes on: wait again, or cancel it."


class EndpointUnavailableError(NbstepError):
    """An endpoint does not answer, or has too much to do."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE
    reference = "endpoint-unavailable"
    retry = Retry.ALWAYS
    default_hint = "Look how it stands with: nbstep status NAME."


class ServiceUnavailableError(NbstepError):
    """A team's service did not answer past the retry budget, or not as one."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE
    reference = "service-unavailable"
    retry = Retry.ALWAYS
    default_hint = "The run itself goes on: ask again when the service answers."


class ServiceDeniedError(NbstepError):
    """A team's service refuses what is asked."""

    exit_code = ExitCode.STORAGE_DENIED
    reference = "service-denied"
    retry = Retry.NEVER
    default_hint = "Check the token that the profile names, and what the service lets its owner do."


def error_of(info: ErrorInfo) -> NbstepError:
    """The error that a record tells of, as the exception that it was; the cell's traceback is a note of it."""
    kind = KINDS.get(info.reference, errors.InternalError)
    error = kind(info.message, hint=info.hint, context=info.context)
    if info.traceback:
        error.add_note("\n".join(info.traceback))
    for attached in info.attached:
        error.add_note(f"and then: {attached.message}")
    return error


KINDS: Final[dict[str, type[NbstepError]]] = {
    **{kind.reference: kind for kind in NbstepError.__subclasses__()},
    NbstepError.reference: errors.InternalError,
}
"""Every kind of error by its reference."""


def missing_package(whose: str, error: ModuleNotFoundError, extra: str) -> errors.UsageError:
    """Say that something needs a package that is not installed, and which extra of nbstep's brings it."""
    return errors.UsageError(
        f"{whose} needs a package that is not installed: {error.name}",
        hint=f"Install it: pip install 'nbstep[{extra}]'",
    )


def kept_by_a_service(uri: str) -> errors.StorageDeniedError:
    """Say that what lies there is not written or removed from here."""
    return errors.StorageDeniedError(
        f"{uri} is of a service, which alone writes and removes what its runs are made of",
        hint="Ask whoever runs the service.",
    )
