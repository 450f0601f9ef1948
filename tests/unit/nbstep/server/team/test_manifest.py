"""What a cluster needs for a server: known to Kubernetes, within *restricted*, and no more rights than it uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from nbstep.profiles.strict_yaml import load
from nbstep.server.config_file import config_of
from nbstep.server.team.manifest import manifests, manifests_of
from support.manifests import known_to_kubernetes, violations

PAGE: Final = Path(__file__).parents[5] / "docs/service.md"
DOCUMENTED: Final = re.findall(r"```yaml\n(.+?)```", PAGE.read_text(), re.DOTALL)


def whole() -> dict[str, Any]:
    """The configuration of the documentation, with its part on clusters."""
    first, second, _ = (load(text.encode(), where="the documentation") for text in DOCUMENTED)
    return {**first, **second}


def made(document: dict[str, Any]) -> list[dict[str, Any]]:
    text = yaml.safe_dump(document)
    objects = manifests(config_of(document, where="the test"), text)
    assert list(yaml.safe_load_all(yaml.safe_dump_all(objects))) == objects
    return objects


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


@pytest.mark.parametrize("document", [whole(), {"folders": {"a": {"uri": "s3://b/c"}}}], ids=["whole", "least"])
def test_kubernetes_knows_all_of_it(document: dict[str, Any]) -> None:
    for each in made(document):
        assert known_to_kubernetes(each, kind=f"V1{each['kind']}") == each


def test_its_pods_are_restricted_and_start_anew_with_another_configuration() -> None:
    (deployment,) = of_kind(made(whole()), "Deployment")
    template = deployment["spec"]["template"]
    assert violations(template["spec"]) == []
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts == {"config": "/etc/nbstep/server", "scratch": "/tmp", "tokens": "/etc/nbstep/tokens"}  # noqa: S108 - in a pod
    assert {"name": "AWS_REGION", "value": "eu-west-1"} in container["env"]
    (other,) = of_kind(made({**whole(), "limits": {"streams": 1}}), "Deployment")
    assert other["spec"]["template"]["metadata"]["annotations"] != template["metadata"]["annotations"]


def test_it_may_what_it_does_where_runs_are_and_no_more() -> None:
    document = whole()
    document["folders"]["other"] = {"uri": "s3://b/d", "readers": ["a"], "profiles": ["small"]}
    objects = made(document)
    assert [role["metadata"]["namespace"] for role in of_kind(objects, "Role")] == ["nbstep", "vision"]
    (cluster_role,) = of_kind(objects, "ClusterRole")
    verbs = {
        (resource, verb) for rule in cluster_role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert verbs == {("tokenreviews", "create"), ("subjectaccessreviews", "create")}
    for role in of_kind(objects, "Role"):
        granted = {
            (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
        assert {resource for resource, verb in granted if verb not in ("get", "list")} == {"jobs"}
        assert granted >= {("jobs", "create"), ("jobs", "patch"), ("deployments", "get"), ("services", "get")}
        assert "secrets" not in {resource for resource, _ in granted}
    without = made({**document, "access": {"tokens": "/t/tokens.yaml"}})
    assert not of_kind(without, "ClusterRole")


def test_its_network_is_what_it_needs() -> None:
    (policy,) = of_kind(made(whole()), "NetworkPolicy")
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0]["from"] == [{"namespaceSelector": {"matchLabels": {"team": "data"}}}]
    ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6443}


def test_without_a_configuration_it_is_an_example_that_fits() -> None:
    objects = list(yaml.safe_load_all(manifests_of(None)))
    kinds = [each["kind"] for each in objects]
    assert {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "NetworkPolicy", "Service", "Deployment"} <= {
        *kinds
    }
    (config,) = of_kind(objects, "ConfigMap")
    written = load(config["data"]["server.yaml"].encode(), where="the example")
    assert config_of(written, where="the example").folders["team"].namespace == "team"
