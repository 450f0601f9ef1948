"""What a cluster says of a pod, in words: why it does not start, how it ended. Dictionaries in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nbstep.backends.kubernetes.names import CONTAINER, Object
from nbstep_runner.errors import BY_CODE

WAITING: Final = {
    "ErrImagePull": "the image {image} cannot be pulled: {message}",
    "ImagePullBackOff": "the image {image} cannot be pulled, and is tried again: {message}",
    "ErrImageNeverPull": "the image {image} is not on the node, and must not be pulled",
    "InvalidImageName": "the image's name {image} is not valid",
    "ImageInspectError": "the image {image} cannot be inspected: {message}",
    "SignatureValidationFailed": "the image {image} has no valid signature: {message}",
    "RegistryUnavailable": "the registry of {image} does not answer: {message}",
    "CreateContainerConfigError": "the container cannot be configured: {message}",
    "CreateContainerError": "the container cannot be created: {message}",
    "RunContainerError": "the container cannot be started: {message}",
}
TELLING_EVENTS: Final = {
    "FailedCreate": "the pod cannot be created",
    "FailedMount": "a volume cannot be mounted",
    "FailedAttachVolume": "a volume cannot be attached",
    "FailedCreatePodSandBox": "the pod's sandbox cannot be made",
    "FailedPrepareDynamicResources": "the devices cannot be prepared",
    "FailedResourceClaimCreation": "a claim of devices cannot be made",
    "FailedScheduling": "no node takes the pod",
    "NodeNotReady": "the node does not answer",
}
"""The reasons of warnings that say why a run does not begin, and what is said of each."""


@dataclass(frozen=True, slots=True)
class Termination:
    """How a pod's container ended."""

    exit_code: int | None
    words: str
    reference: str = ""


def container_status(pod: Object) -> Object:
    """What is known of the run's container."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((each for each in statuses if each["name"] == CONTAINER), {})


def problems(pod: Object) -> Iterator[str]:
    """What holds a pod up or has taken it away, a sentence each."""
    waiting = container_status(pod).get("state", {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in WAITING:
        image = container_status(pod).get("image") or _container(pod).get("image", "?")
        yield WAITING[reason].format(image=image, message=one_line(waiting.get("message", reason)))
    for condition in pod.get("status", {}).get("conditions") or ():
        yield from _condition_problem(condition)
    if pod.get("status", {}).get("reason") == "Evicted":
        yield _eviction(pod)


def _eviction(pod: Object) -> str:
    return f"the pod was evicted: {one_line(pod['status'].get('message', ''))}"


def _condition_problem(condition: Object) -> Iterator[str]:
    message = one_line(condition.get("message", ""))
    match condition.get("type"), condition.get("status"), condition.get("reason"):
        case "PodScheduled", "False", "Unschedulable":
            yield f"no node takes the pod: {message}"
        case "DisruptionTarget", "True", reason:
            yield f"the cluster takes the pod away ({reason}): {message}"


def event_problems(events: Sequence[Object]) -> Iterator[str]:
    """What the cluster's warnings tell, in the order of their last coming, each once."""
    told: dict[str, None] = {}
    for event in sorted(events, key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or ""):
        if event.get("reason") in TELLING_EVENTS and event.get("type") == "Warning":
            told.setdefault(_event_sentence(event))
    yield from told


def _event_sentence(event: Object) -> str:
    message = one_line(event.get("message", ""))
    if "exceeded quota" in message:
        return f"the namespace's quota is used up: {message}"
    return f"{TELLING_EVENTS[event['reason']]}: {message}"


def termination(pod: Object) -> Termination | None:
    """How a pod ended, if it did."""
    status = pod.get("status", {})
    terminated = container_status(pod).get("state", {}).get("terminated")
    if status.get("reason") == "Evicted":
        return Termination(_code(terminated), _eviction(pod), "lost")
    if status.get("reason") in ("NodeLost", "Shutdown", "NodeShutdown", "Terminated", "Preempting"):
        return Termination(
            _code(terminated), f"the pod's node went away: {one_line(status.get('message', ''))}", "lost"
        )
    if terminated:
        return _container_termination(terminated, pod)
    if status.get("phase") == "Failed":
        return Termination(
            None, f"the pod failed: {one_line(status.get('message') or status.get('reason') or '')}", "lost"
        )
    return None


def _container_termination(terminated: Object, pod: Object) -> Termination:
    code = int(terminated["exitCode"])
    if terminated.get("reason") == "OOMKilled":
        limit = _container(pod).get("resources", {}).get("limits", {}).get("memory", "the node's memory")
        return Termination(code, f"the container was killed for memory (its limit is {limit})", "out-of-memory")
    if terminated.get("reason") == "ContainerCannotRun" or terminated.get("reason") == "StartError":
        return Termination(
            code, f"the container could not be started: {one_line(terminated.get('message', ''))}", "not-started"
        )
    said = _verdict(terminated.get("message", ""))
    known = BY_CODE.get(code)
    if known is not None:
        return Termination(code, said or f"the runner ended with {code}", known.reference)
    if code > 128:
        return Termination(code, f"the container was killed by signal {code - 128}", "lost")
    return Termination(code, said or f"the container ended with {code}", "" if code == 0 else "lost")


def _verdict(message: str) -> str:
    """The error in a termination message, or its last line where it is the end of a log."""
    try:
        verdict = msgspec.json.decode(message.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        lines = message.strip().splitlines()
        return lines[-1][:500] if lines else ""
    error = verdict.get("error") if isinstance(verdict, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _code(terminated: Object | None) -> int | None:
    return int(terminated["exitCode"]) if terminated else None


def _container(pod: Object) -> Object:
    return next((each for each in pod["spec"]["containers"] if each["name"] == CONTAINER), {})


def one_line(text: str) -> str:
    """A message of the cluster without its line breaks."""
    return " ".join(str(text).split())
