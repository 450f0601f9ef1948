"""What a pipeline takes in Argo's one object, and what is refused because it would not fit."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nbstep.steps.sizes import (
    ARGUMENT,
    STORED,
    Held,
    check_argument,
    check_stored,
    container_text,
    held_by,
    stored_bytes,
)
from nbstep_runner.errors import BadInputError


def held(kilobytes: int, *, seed: int = 0, **more: Any) -> Held:
    noise = random.Random(seed).randbytes(kilobytes * 500).hex()  # noqa: S311 - text that does not compress
    return Held(f"step-{seed}", noise, **more)


def pipeline(tasks: dict[str, Any]) -> dict[str, Any]:
    """A pipeline in the form of its IR, whose tasks all run the same container."""
    return {
        "components": {"comp-work": {"executorLabel": "exec-work"}, "comp-loop": {"dag": {"tasks": {"work": task()}}}},
        "deploymentSpec": {"executors": {"exec-work": {"container": {"image": "image:1", "args": ["x"]}}}},
        "root": {"dag": {"tasks": tasks}},
    }


def task(component: str = "comp-work", **more: Any) -> dict[str, Any]:
    return {"componentRef": {"name": component}} | more


def loop(items: str) -> dict[str, Any]:
    return task("comp-loop", parameterIterator={"itemInput": "item", "items": {"raw": items}})


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("tasks", "times"),
    [
        ({"work": task()}, 9),
        ({"loop": loop("[1, 2]")}, 17),
        ({"loop": loop('["a", "b", "c"]')}, 25),
        ({"loop": task("comp-loop", parameterIterator={"items": {"inputParameter": "found"}})}, 9),
        ({"work": task(retryPolicy={"maxRetryCount": 2})}, 11),
    ],
)
def test_a_container_is_kept_as_often_as_was_counted_in_real_workflows(tasks: dict[str, Any], times: int) -> None:
    (found,) = held_by(pipeline(tasks))
    assert found.copies + 1 == times


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ([held(94)], True),
        ([held(94), held(94, seed=1)], False),
        ([held(60), held(60, seed=1)], False),
        ([held(72, seed=seed) for seed in range(5)], False),
        ([held(94, attempts=4)], False),
        ([held(40, executions=2)], True),
        ([held(40, executions=4)], False),
        ([held(5, executions=60)], True),
        ([held(2, seed=seed) for seed in range(12)], True),
    ],
    ids=str,
)
def test_what_argo_could_not_store_is_refused(parts: list[Held], fits: bool, recwarn: pytest.WarningsRecorder) -> None:
    del recwarn
    if fits:
        check_stored(parts)
        return
    with pytest.raises(BadInputError, match="that Argo can store") as caught:
        check_stored(parts)
    assert "runs=" in caught.value.hint
    assert "upload_to=" in caught.value.hint


def test_near_the_limit_a_warning_says_so() -> None:
    with pytest.warns(UserWarning, match="kB that Argo can store; most of it is step step-0"):
        check_stored([held(94)])


def test_one_container_of_two_tasks_is_one_parameter() -> None:
    one, other = Held("a", "x" * 1000), Held("b", "x" * 1000)
    assert stored_bytes([one, other]) == 2 * stored_bytes([one]) - 1000
    assert stored_bytes([held(94)]) < STORED


@pytest.mark.fault(70)
def test_a_container_that_is_too_long_for_an_argument_is_refused() -> None:
    check_argument(Held("short", "x" * (ARGUMENT - 10_000)))
    with pytest.raises(BadInputError, match="the container of step long takes"):
        check_argument(Held("long", "é" * (ARGUMENT // 2)))


def test_a_container_is_counted_as_go_writes_it() -> None:
    assert container_text({"args": ["<é>"]}) == '{"args":["\\u003cé\\u003e"]}'


@pytest.mark.fault(70)
def test_the_values_of_a_task_go_its_containers_way() -> None:
    given = {"text": {"runtimeValue": {"constant": "x" * 1000}}, "later": {"componentInputParameter": "rows"}}
    (found,) = held_by(pipeline({"work": task(inputs={"parameters": given})}))
    assert len(found.constants) == len('{"text":""}') + 1000
    check_argument(Held("short", "", "x" * (ARGUMENT - 10_000)))
    with pytest.raises(BadInputError, match=r"the values of step long take .* bytes") as caught:
        check_argument(Held("long", "", "x" * ARGUMENT))
    assert "artifact" in caught.value.hint


@pytest.mark.fault(70)
def test_values_that_argo_could_not_store_are_refused() -> None:
    noise = held(110).container
    with pytest.raises(BadInputError, match="most of it is step b, whose values of 110000 bytes are kept 9 times"):
        check_stored([Held("a", "x" * 1000, noise[:1000]), Held("b", "x" * 1000, noise)])
