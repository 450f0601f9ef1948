"""How much a pipeline may hold: KFP passes a container as one argument, and Argo keeps it many times in one object.

Argo's object of a running workflow has each container once among its parameters and eight times for each execution: as
input and output of the driver and as input of what runs it, of a node for retries around each of them too. Where the
object is too large its nodes are compressed by gzip, which knows a text again only where it comes again within 32 KiB,
and written as base64, a third longer.
"""

from __future__ import annotations

import json
import random
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbstep.steps.embedding import WAY_OUT
from nbstep_runner.errors import BadInputError

ARGUMENT: Final = 128 * 2**10 - 1
"""Bytes of one argument of a program (MAX_ARG_STRLEN of execve(2), less its end)."""
ADDED: Final = 8 * 2**10
"""Of these, what is left for all that a task adds to its container later, such as environment variables."""
STORED: Final = 2**20
"""Bytes of the object that Argo takes (``MAX_WORKFLOW_SIZE``); a little more and etcd would refuse it."""
NEAR: Final = 0.8
AS_ARTIFACT: Final = "Pass large values as an artifact, or let the notebook read them from storage."
DRIVERS: Final = 2
"""Nodes of an execution that hold its container twice, as input and as output: the driver, and the retry around it."""
OTHERS: Final = 3
"""Nodes that hold it once, besides one for each attempt."""
NODE: Final = 4_500
"""Bytes of a node besides its container, as they were seen: the message, names, times."""
NODE_COMPRESSED: Final = 600
WINDOW: Final = 2**15


@dataclass(frozen=True, slots=True)
class Held:
    """A container in a pipeline.

    Attributes:
        step: The step's name.
        container: Its container as KFP writes it, see :func:`container_text`.
        constants: The values that the pipeline gives it, as JSON; the message beside the container holds them.
        executions: How often it runs, as far as that is known.
        attempts: How often each execution may be tried.
    """

    step: str
    container: str
    constants: str = ""
    executions: int = 1
    attempts: int = 1

    @property
    def text(self) -> str:
        """What is kept of it as often as its container."""
        return self.container + self.constants

    @property
    def copies(self) -> int:
        """How often the nodes have it."""
        return self.executions * (2 * DRIVERS + OTHERS + self.attempts)


def container_text(container: Mapping[str, Any]) -> str:
    """A container as KFP passes it on: JSON as Go writes it, which escapes what HTML would."""
    text = json.dumps(container, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def constants_text(values: Mapping[str, Any]) -> str:
    """The values that a pipeline gives a step, as KFP passes them on."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else ""


def check_argument(held: Held) -> None:
    """Whether KFP can pass a container, and the values for it: each is part of one argument of a program.

    Raises:
        BadInputError: One of them is longer than an argument may be.
    """
    for what, text, way_out in (("container", held.container, WAY_OUT), ("values", held.constants, AS_ARTIFACT)):
        size = len(text.encode())
        if size > ARGUMENT - ADDED:
            verb = "takes" if what == "container" else "take"
            raise BadInputError(
                f"the {what} of step {held.step} {verb} {size} bytes; {ARGUMENT - ADDED} is the most", hint=way_out
            )


def check_stored(held: Sequence[Held]) -> None:
    """Whether Argo can store a pipeline; warns where it is near to what it can.

    Raises:
        BadInputError: It cannot.
    """
    size = stored_bytes(held)
    if size < NEAR * STORED:
        return
    largest = max(held, key=lambda one: len(one.text) * one.copies)
    by_container = len(largest.container) >= len(largest.constants)
    most = largest.container if by_container else largest.constants
    told = (
        f"the pipeline takes {size // 1000} kB of the {STORED // 1000} kB that Argo can store; most of it is step "
        f"{largest.step}, whose {'container' if by_container else 'values'} of {len(most)} bytes "
        f"{'is' if by_container else 'are'} kept {largest.copies + 1} times"
    )
    way_out = WAY_OUT if by_container else AS_ARTIFACT
    if size > STORED:
        raise BadInputError(told, hint=way_out)
    warnings.warn(f"{told}. {way_out}", stacklevel=3)


def stored_bytes(held: Iterable[Held]) -> int:
    """About how large Argo's object of a pipeline becomes until its end."""
    held = tuple(held)
    parameters = sum(map(len, {one.container for one in held})) + sum(len(one.constants) for one in held)
    nodes = sum((len(one.text) + NODE) * one.copies for one in held)
    if parameters + nodes <= STORED:
        return parameters + nodes
    return parameters + _compressed(held) * 4 // 3


def _compressed(held: Sequence[Held]) -> int:
    """The nodes by gzip, in an order that no name tells: a text counts again where its last copy is not near.

    What is left is base64 already, which Argo's gzip makes no shorter.
    """
    nodes = [
        (one.text, times)
        for one in held
        for times, number in ((2, DRIVERS), (1, OTHERS + one.attempts))
        for _ in range(number * one.executions)
    ]
    random.Random(0).shuffle(nodes)  # noqa: S311 - the same order each time, no secret
    size = at = 0
    last: dict[str, int] = {}
    for text, times in nodes:
        for _ in range(times):
            start, at = at, at + len(text) + NODE // 2
            size += 0 if start - last.get(text, -WINDOW) < WINDOW else len(text)
            last[text] = start
        size += NODE_COMPRESSED
    return size


def held_by(pipeline: Mapping[str, Any]) -> list[Held]:
    """The containers of a compiled pipeline (the JSON form of a PipelineSpec), with its loops and retries.

    A loop over what only the run knows counts once.
    """
    return list(_held(pipeline, pipeline.get("root", {}), 1))


def _held(pipeline: Mapping[str, Any], component: Mapping[str, Any], times: int) -> Iterator[Held]:
    executors = pipeline.get("deploymentSpec", {}).get("executors", {})
    for name, task in component.get("dag", {}).get("tasks", {}).items():
        inner = pipeline["components"][task["componentRef"]["name"]]
        executions = times * _iterations(task)
        container = executors.get(inner.get("executorLabel"), {}).get("container")
        if container is not None:
            attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
            given = task.get("inputs", {}).get("parameters", {})
            constants = {
                key: one["runtimeValue"].get("constant") for key, one in given.items() if "runtimeValue" in one
            }
            yield Held(name, container_text(container), constants_text(constants), executions, attempts)
        yield from _held(pipeline, inner, executions)


def _iterations(task: Mapping[str, Any]) -> int:
    raw = task.get("parameterIterator", {}).get("items", {}).get("raw")
    return max(1, len(json.loads(raw))) if raw else 1
