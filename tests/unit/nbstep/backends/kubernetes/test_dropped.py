"""What a cluster leaves out of what it was sent is found; what it adds, or writes in another way, is no loss."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.kubernetes.dropped import dropped
from nbstep.backends.kubernetes.manifest import job
from nbstep.profiles import load_profile
from unit.nbstep.backends.kubernetes.test_manifest import FULL, submission

SENT = {
    "metadata": {"labels": {"a": "b"}, "annotations": {}},
    "volumes": [{"name": "model", "image": {"reference": "i:1"}}, {"name": "tmp", "emptyDir": {}}],
    "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
    "args": ["--a", "--b"],
    "hostUsers": False,
    "env": [{"name": "EMPTY", "value": ""}],
}


def kept(**changes: Any) -> dict[str, Any]:
    """What a cluster answers: more than it was sent, in its own order and writing."""
    answer = deepcopy(SENT) | {"status": {}, "dnsPolicy": "ClusterFirst"}
    answer["metadata"] = {"labels": {"a": "b", "own": "c"}, "uid": "u"}
    answer["volumes"] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "added", "secret": {}},
        {"name": "model", "image": {"reference": "i:1", "pullPolicy": "Always"}},
    ]
    answer["resources"] = {"requests": {"cpu": "500m", "memory": "1Gi"}}
    answer["env"] = [{"name": "EMPTY"}]
    return answer | changes


@pytest.mark.parametrize(
    ("answer", "paths"),
    [
        (kept(), []),
        (kept(hostUsers=None), ["hostUsers"]),
        (kept(hostUsers=True), ["hostUsers"]),
        (kept(volumes=[{"name": "model"}, {"name": "tmp", "emptyDir": {}}]), ["volumes[model].image"]),
        (kept(volumes=[{"name": "tmp", "emptyDir": {}}]), ["volumes[model]"]),
        (kept(resources={"requests": {"cpu": "600m", "memory": "1Gi"}}), ["resources.requests.cpu"]),
        (kept(args=["--a"]), ["args[1]"]),
        (kept(args=["--b", "--a"]), ["args[0]", "args[1]"]),
        (kept(metadata={"labels": {}}), ["metadata.labels.a"]),
    ],
)
def test_what_is_missing_is_named(answer: dict[str, Any], paths: list[str]) -> None:
    assert list(dropped(SENT, answer)) == paths


FULL_JOB = job(submission(load_profile(None, FULL)), "flights")
LEAVES = [
    ("metadata", "labels"),
    ("spec", "podFailurePolicy"),
    ("spec", "podReplacementPolicy"),
    ("spec", "template", "spec", "volumes"),
    ("spec", "template", "spec", "automountServiceAccountToken"),
    ("spec", "template", "spec", "containers"),
    ("spec", "template", "spec", "tolerations"),
]


def test_a_whole_manifest_contains_itself() -> None:
    assert list(dropped(FULL_JOB, json.loads(json.dumps(FULL_JOB)))) == []


@given(st.sampled_from(LEAVES))
def test_any_part_of_a_manifest_is_missed(path: tuple[str, ...]) -> None:
    answer = deepcopy(FULL_JOB)
    holder: Any = answer
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    assert [found for found in dropped(FULL_JOB, answer) if not found.startswith(".".join(path))] == []
    assert list(dropped(FULL_JOB, answer))
