"""Manifests: compared whole, valid for today's Kubernetes, and within Pod Security's level restricted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.kubernetes.manifest import job, located, permanent_codes
from nbstep.backends.kubernetes.names import SCRATCH, WORK, JobName
from nbstep.backends.protocol import Submission
from nbstep.profiles import Profile, load_profile
from nbstep_runner.contract import Deadlines, RunSpec, StorageOptions
from nbstep_runner.errors import BadInputError, UsageError
from support.manifests import known_to_kubernetes, violations

DATA = Path(__file__).parent / "manifests"
FOLDER = "gs://bucket/runs/train-1"


def submission(profile: Profile, **spec: Any) -> Submission:
    run = RunSpec(
        run_id="train-1",
        input_uri=f"{FOLDER}/input.ipynb",
        output_uri=f"{FOLDER}/output.ipynb",
        deadlines=profile.deadlines,
        storage=profile.storage,
        **spec,
    )
    claims = tuple(profile.kubernetes.claims)
    return Submission(spec=run, spec_uri=f"{FOLDER}/spec.json", profile=profile, claims=claims)


PLAIN = {"on": "kubernetes", "image": "example.org/nbstep:1"}
FULL: dict[str, Any] = {
    **PLAIN,
    "resources": {"cpu": 2, "cpu_limit": "4", "memory": "8Gi", "gpu": 1, "disk": "20Gi", "shared_memory": "1Gi"},
    "env": {
        "PLAIN": "value",
        "TOKEN": {"secret": "tokens", "key": "token"},
        "REGION": {"config_map": "settings", "key": "region"},
    },
    "labels": {"team": "flights", "note": "free text", "nbstep/run-id": "another"},
    "deadlines": {"grace": 55.5},
    "retries": 3,
    "storage": {"retry_seconds": 30.0, "allow_private_addresses": True},
    "kubernetes": {
        "service_account": "trainer",
        "api_token": True,
        "pull_secrets": ["registry"],
        "pull_policy": "Always",
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "seconds": 60}],
        "priority_class": "high",
        "runtime_class": "gvisor",
        "claims": {"data": {"read_only": True}, "models": {}},
        "secrets": {"sftp-keys": {"path": "/secrets/sftp", "items": {"id": "id_ed25519"}}},
        "config_maps": {"settings": {"path": "/settings"}},
        "affinity": [
            {"key": "nvidia.com/gpu.product", "values": ["A100", "H100"]},
            {"key": "example.org/cores", "operator": "Gt", "values": ["15"]},
            {"key": "zone", "values": ["a"], "weight": 50},
            {"key": "spot", "operator": "DoesNotExist", "weight": 1},
        ],
        "spread": [{}, {"topology": "zone", "max_skew": 2, "required": True, "labels": {"team": "flights"}}],
        "volumes": {
            "work": {"path": "/work", "size": "200Gi", "storage_class": "fast"},
            "cache": {"path": "/cache", "size": "10Gi", "access": "ReadWriteOncePod"},
        },
        "image_volumes": {"model": {"image": "example.org/model:1", "path": "/models", "pull_policy": "Always"}},
        "user_namespace": True,
        "resource_claims": {"gpu": {"template": "one-gpu"}, "net": {"claim": "shared", "request": "nic"}},
        "queue": "team-a",
        "queue_priority": "high",
        "ttl_seconds": 600,
        "deadline_seconds": 7200,
        "start_seconds": 600,
        "run_as_user": 1000,
        "fs_group": 2000,
        "annotations": {"example.org/team": "flights"},
    },
}


@pytest.mark.parametrize(("name", "values"), [("plain", PLAIN), ("full", FULL)])
def test_the_manifest_is_this_one(name: str, values: dict[str, Any]) -> None:
    expected = yaml.safe_load((DATA / f"{name}.yaml").read_text())
    assert job(submission(load_profile(None, values)), "flights") == expected


@pytest.mark.fault(69)
def test_texts_arrive_as_they_are_and_a_name_is_there_once() -> None:
    profile = load_profile(None, {**PLAIN, "env": {"PASSWORD": "pa$$word $(HOME)", "HOME": "/work"}})
    container = job(submission(profile), "default")["spec"]["template"]["spec"]["containers"][0]
    variables = [(each["name"], each["value"]) for each in container["env"]]
    assert dict(variables) == {
        "HOME": "/work",
        "TMPDIR": SCRATCH,
        "NBSTEP_IMAGE": PLAIN["image"],
        "PASSWORD": "pa$$$$word $$(HOME)",
    }
    assert len(variables) == 4


def test_what_is_found_again_is_what_was_submitted() -> None:
    profile = load_profile(None, FULL)
    again = located(job(submission(profile), "flights"))
    assert (again.run_id, again.spec_uri, again.output_uri) == (
        "train-1",
        f"{FOLDER}/spec.json",
        f"{FOLDER}/output.ipynb",
    )
    assert again.storage == profile.storage


def test_codes_that_no_retry_mends_end_the_job() -> None:
    codes = permanent_codes()
    assert {2, 10, 11, 13, 65, 66, 73, 77, 78, 130} == set(codes)
    assert not {0, 12, 70, 75, 143} & set(codes)


def names(draw: Any) -> str:
    return str(draw(st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)))


@st.composite
def profiles(draw: Any) -> Profile:
    """Any profile that the schema takes."""
    quantities = st.one_of(st.none(), st.sampled_from(["1", "500m", "2Gi"]))
    keys, weights, made = (
        st.sampled_from(["zone", "a.b/c"]),
        st.none() | st.integers(1, 100),
        st.sampled_from([WORK, "/v"]),
    )
    rules = st.builds(lambda key, weight: {"key": key, "values": ["a"], "weight": weight}, keys, weights)
    kubernetes = {
        "service_account": draw(st.none() | st.just("trainer")),
        "api_token": draw(st.booleans()),
        "claims": draw(st.dictionaries(st.just("data"), st.builds(lambda r: {"read_only": r}, st.booleans()))),
        "secrets": draw(st.dictionaries(st.just("keys"), st.just({"path": "/secrets/a"}))),
        "run_as_user": draw(st.none() | st.integers(1, 70000)),
        "fs_group": draw(st.none() | st.integers(1, 70000)),
        "queue": draw(st.none() | st.just("q")),
        "affinity": draw(st.lists(rules, max_size=3)),
        "spread": draw(st.lists(st.builds(lambda r: {"required": r}, st.booleans()), max_size=1)),
        "volumes": draw(st.dictionaries(st.just("v"), st.builds(lambda p: {"path": p, "size": "1Gi"}, made))),
        "user_namespace": draw(st.booleans()),
        "runtime_class": draw(st.none() | st.just("gvisor")),
    }
    values = {
        "image": "i:1",
        "retries": draw(st.integers(0, 9)),
        "env": draw(
            st.dictionaries(
                st.from_regex(r"[A-Z]{1,5}", fullmatch=True),
                st.one_of(st.text(max_size=5), st.just({"secret": "s", "key": "k"})),
                max_size=3,
            )
        ),
        "resources": {
            "cpu": draw(quantities),
            "memory": draw(quantities),
            "shared_memory": draw(quantities),
            "gpu": draw(st.integers(0, 2)),
        },
        "kubernetes": kubernetes,
    }
    return msgspec.convert(values, Profile)


@given(profiles())
@pytest.mark.fault(45)
def test_every_manifest_is_restricted_and_valid(profile: Profile) -> None:
    manifest = job(submission(profile), "flights")
    assert violations(manifest["spec"]["template"]["spec"]) == []
    assert json.loads(json.dumps(manifest)) == manifest
    assert known_to_kubernetes(manifest) == manifest


@pytest.mark.parametrize(
    "smuggled",
    [
        {"kubernetes": {"host_network": True}},
        {"kubernetes": {"privileged": True}},
        {"kubernetes": {"volumes": [{"hostPath": {"path": "/"}}]}},
        {"kubernetes": {"secrets": {"s": {"path": "/x", "hostPath": "/"}}}},
        {"kubernetes": {"claims": {"c": {"hostPath": "/"}}}},
        {"kubernetes": {"volumes": {"v": {"path": "/x", "hostPath": "/"}}}},
        {"kubernetes": {"image_volumes": {"v": {"path": "/x"}}}},
        {"kubernetes": {"resource_claims": {"r": {}}}},
        {"kubernetes": {"affinity": [{"key": "zone", "weight": 0}]}},
        {"kubernetes": {"queue_priority": "high"}},
        {"securityContext": {"privileged": True}},
        {"env": {"X": {"fieldRef": {"fieldPath": "spec.nodeName"}}}},
        {"resources": {"limits": {"cpu": 1}}},
    ],
)
@pytest.mark.fault(45)
def test_the_schema_is_closed(smuggled: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        load_profile(None, PLAIN | smuggled)


@pytest.mark.parametrize(
    "path", ["/", "/proc/x", f"{WORK}/x", "/etc/passwd", "/usr", "relative", "/secrets/../etc", "/pvc/data"]
)
def test_nothing_is_mounted_over_what_the_run_needs(path: str) -> None:
    image = {"v": {"path": path, "image": "i:1"}}
    for mounted in (
        {"secrets": {"s": {"path": path}}},
        {"volumes": {"v": {"path": path, "size": "1"}}},
        {"image_volumes": image},
    ):
        profile = load_profile(None, PLAIN | {"kubernetes": mounted})
        with pytest.raises(BadInputError, match="nothing can be mounted"):
            job(submission(profile), "flights")


def test_root_and_credentials_in_uris_are_refused() -> None:
    with pytest.raises(UsageError, match="as root"):
        job(submission(load_profile(None, PLAIN | {"kubernetes": {"run_as_user": 0}})), "flights")
    with pytest.raises(UsageError, match="an image"):
        job(submission(load_profile(None, {"on": "kubernetes"})), "flights")
    profile = load_profile(None, PLAIN)
    spec = RunSpec(run_id="r", input_uri="sftp://u:secret@h/i", output_uri="sftp://u:secret@h/o")
    with pytest.raises(UsageError, match="credentials") as caught:
        job(Submission(spec=spec, spec_uri="sftp://u:secret@h/s", profile=profile), "flights")
    assert "secret@" not in str(caught.value)


def test_a_run_that_keeps_its_state_goes_on_after_any_sigterm() -> None:
    profile = load_profile(None, PLAIN)
    usual, keeping = (job(submission(profile, state=state), "default")["spec"] for state in (False, True))
    assert keeping["podFailurePolicy"]["rules"][:2] == usual["podFailurePolicy"]["rules"]
    assert keeping["podFailurePolicy"]["rules"][2:] == [
        {"action": "Ignore", "onExitCodes": {"containerName": "nbstep", "operator": "In", "values": [143]}}
    ]
    assert "--keep-state" in keeping["template"]["spec"]["containers"][0]["args"]


def test_defaults_of_the_runner_are_not_repeated() -> None:
    profile = load_profile(None, PLAIN)
    assert (profile.deadlines, profile.storage) == (Deadlines(), StorageOptions())
    (container,) = job(submission(profile), "flights")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--spec", f"{FOLDER}/spec.json", "--grace-period", "25", "--log-format", "json"]


@given(st.text(min_size=1), st.from_regex(r"[a-z0-9-]+", fullmatch=True))
def test_a_handle_is_read_back(context: str, namespace: str) -> None:
    name = JobName(context, namespace, "train-1")
    assert JobName.parse(str(name)) == name
    assert not re.search(r"\s", str(name))
