"""What a server is told of its world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbstep.profiles.service import origin_of
from nbstep.server.config_file import read_config
from nbstep_runner.errors import BadInputError, InputNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
folders:
  team-a:
    uri: s3://bucket/runs
    profiles: [small]
    storage: {endpoint_url: "https://store.example"}
notebooks: [s3://bucket/notebooks]
profiles:
  small: {on: kubernetes, image: "registry.example/run@sha256:0", kubernetes: {namespace: team-a}}
limits: {streams: 10}
"""


def test_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(WHOLE)
    config = read_config(file)
    assert config.folders["team-a"].storage.endpoint_url == "https://store.example"
    assert config.profiles["small"].kubernetes.namespace == "team-a"
    assert (config.limits.streams, config.limits.records) == (10, 2000)
    with pytest.raises(InputNotFoundError, match="other"):
        read_config(tmp_path / "other.yaml")
    with pytest.raises(InputNotFoundError, match="there is no configuration"):
        read_config(file / "server.yaml")
    with pytest.raises(BadInputError, match=r"the configuration .* cannot be read: Is a directory"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Runs.example:443/nbstep", "https://runs.example"),
        ("http://runs.example:80", "http://runs.example"),
        ("http://runs.example:443/", "http://runs.example:443"),
        ("https://[::1]:8443/a", "https://[::1]:8443"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


A = "folders: {a: {uri: /runs}}\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("folders: {}", "no folder"),
        ("folders: {a: {uri: runs}}", "'runs'"),
        ("folders: {a: {uri: 'file:///runs'}}", "'file:///runs'"),
        ("folders: {a: {uri: s3://b/runs/%2e%2e/pay}}", "each in one way"),
        ("folders: {a: {uri: s3://b/runs}, b: {uri: S3://b/runs/pay}}", "'S3://b/runs/pay'"),
        ("folders: {A b: {uri: /runs}}", "folders"),
        ("folders: {a: {uri: /runs, profiles: [small]}}", "'small'"),
        ("folders: {a: {uri: /runs, profile: small}}", "profile"),
        ("folders: {a: {uri: /runs}}\nnotebooks: [notebooks]", "'notebooks'"),
        ("folders: {a: {uri: /runs}}\nprofiles: {x: {onn: local}}", "onn"),
        ("folders: {a: {uri: /runs}}\nlimits: {streams: 0}", "limits.streams"),
        ("folders: {a: {uri: /runs}, a: {uri: /other}}", "'a' comes twice"),
        ("- a", "does not fit"),
        (f"{A}access: {{}}", "name one of kubernetes, proxy and tokens"),
        (f"{A}access: {{tokens: /t}}", "nobody may look into folders.a"),
        ("folders: {a: {uri: /runs, readers: [submitter]}}", "nothing says how they are known"),
        (f"{A}access: {{proxy: {{addresses: []}}}}", "addresses that the proxy connects from"),
        (f"{A}access: {{proxy: {{addresses: [10.0.0.1/8]}}}}", "10.0.0.1/8 has host bits set"),
        (f"{A}url: runs.example", "url"),
        (f"{A}url: https://runs.example/?a", "url"),
        (f"{A}url: https://runs.example:99999", "url https://runs.example:99999: Port out of range"),
        (f"{A}url: 'https://:443'", "url https://:443: it names no host"),
        (f"{A}url: 'https://[::1'", "Invalid IPv6 URL"),
        (f"{A}profiles: {{x: {{open: [resource.memory]}}}}", "'resource.memory', which is no field"),
        (f"{A}profiles: {{x: {{open: [resources.ram]}}}}", "'resources.ram', which is no field"),
        (f"{A}profiles: {{x: {{open: all}}}}", "profiles.x.open"),
        (f"{A}profiles: {{x: {{open: [kubernetes]}}}}", "'kubernetes', which says where a run is"),
        (f"{A}profiles: {{x: {{open: [kubernetes.namespace]}}}}", "which says where a run is"),
        (f"{A}profiles: {{x: {{open: [storage.endpoint_url]}}}}", "which says where a run is"),
        (
            "folders: {a: {uri: /runs, namespace: n, profiles: [x]}}\nprofiles: {x: {kubernetes: {namespace: m}}}",
            "of the namespace n, and its profile 'x' runs in m",
        ),
        (f"{A}deployment: {{replicas: 0}}", "deployment.replicas"),
        ("folders: {b: {uri: /runs/x/../pay}, a: {uri: /runs}}", "folders.b lies in folders.a, whose readers"),
        ("folders: {a: {uri: s3://b/runs}, b: {uri: s3://b/runs/pay/roll/}}", "folders.b lies in folders.a"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=named):
        read_config(file)


def test_a_folders_runs_are_in_its_namespace(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(
        "folders: {a: {uri: /a, namespace: n, profiles: [x]}, b: {uri: /b, profiles: [x]}}\nprofiles: {x: {}}"
    )
    config = read_config(file)
    placed = [config.profiles_of(folder)["x"].kubernetes.namespace for folder in config.folders.values()]
    assert placed == ["n", None]


def test_folders_beside_each_other_fit(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("folders: {a: {uri: s3://b/runs}, b: {uri: s3://b/runs-2}, c: {uri: s3://b/runs}}")
    assert list(read_config(file).folders) == ["a", "b", "c"]
