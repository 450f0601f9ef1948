"""The request for a container, and its log made of the daemon's pieces."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.docker.logs import Joiner
from nbstep.backends.docker.request import RUN_LABEL, request
from nbstep.backends.protocol import Located, Submission
from nbstep.profiles import Profile
from nbstep.profiles.quantities import quantity
from nbstep_runner.contract import RunSpec, StorageOptions, decode
from nbstep_runner.errors import UsageError

REMOTE = "gs://bucket/runs/r"


def submission(folder: str = REMOTE, storage: StorageOptions | None = None, **profile: object) -> Submission:
    spec = RunSpec(
        run_id="r",
        input_uri=f"{folder}/input.ipynb",
        output_uri=f"{folder}/output.ipynb",
        storage=storage or StorageOptions(),
    )
    made = msgspec.convert({"on": "docker", "image": "image", **profile}, Profile)
    return Submission(spec=spec, spec_uri=f"{folder}/spec.json", profile=made)


def test_objects_of_a_store_need_no_mount_and_no_user() -> None:
    container = request(submission())
    assert container == {
        "Image": "image",
        "Cmd": ["--spec", f"{REMOTE}/spec.json", "--grace-period", "25", "--log-format", "json"],
        "Env": ["NBSTEP_IMAGE=image"],
        "Labels": container["Labels"],
        "StopTimeout": 30,
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "json-file"},
        },
    }


def test_a_label_of_the_profile_does_not_say_where_the_run_lies() -> None:
    labels = request(submission(labels={RUN_LABEL: "{}", "team": "flights"}))["Labels"]
    assert labels["team"] == "flights"
    assert decode(labels[RUN_LABEL].encode(), Located).run_id == "r"


def test_local_paths_are_mounted_where_they_are(tmp_path: Path) -> None:
    storage = StorageOptions(known_hosts="/k/hosts", identity_file="/k/key")
    mounts = request(submission(str(tmp_path), storage))["HostConfig"]["Mounts"]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        (str(tmp_path), str(tmp_path), False),
        ("/k/hosts", "/k/hosts", True),
        ("/k/key", "/k/key", True),
    ]


def test_resources() -> None:
    host = request(submission(resources={"memory": "1.5Gi", "cpu": "250m", "gpu": 2}))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (1_610_612_736, 1_610_612_736, 250_000_000)
    assert host["DeviceRequests"] == [{"Count": 2, "Capabilities": [["gpu"]]}]
    with pytest.raises(UsageError, match="disk"):
        request(submission(resources={"disk": "1Gi"}))


def test_a_secret_of_a_cluster_cannot_be_read() -> None:
    with pytest.raises(UsageError, match="TOKEN"):
        request(submission(env={"TOKEN": {"secret": "s", "key": "k"}}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("500m", "0.5"),
        ("4Gi", 4 * 2**30),
        ("1.5G", 1_500_000_000),
        ("12e3", 12_000),
        ("64k", 64_000),
        (2, 2),
        (0.5, "0.5"),
        ("64Ki", 2**16),
        ("1.5E2", 150),
        ("2E", 2 * 10**18),
        ("100n", "1e-7"),
        (1e-5, "0.00001"),
    ],
)
def test_quantities(text: str | float, value: str | int) -> None:
    assert quantity(text) == Decimal(value)


@given(st.text())
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with suppress(UsageError):
        assert quantity(text) >= 0


LINES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30), max_size=20)


@given(LINES, st.integers(1, 7), st.lists(st.integers(0, 60), max_size=4))
def test_lines_come_once_and_whole_however_they_are_cut(lines: list[str], size: int, breaks: list[int]) -> None:
    """Pieces of ``size`` bytes; the connection breaks after some, and the next starts a little before."""
    pieces = []
    for line in lines:
        data = line.encode() + b"\n"
        pieces += [data[at : at + size] for at in range(0, len(data), size)]
    stamped = [b"2026-01-01T00:00:%02d.%09dZ " % (at // 10, at % 10) + piece for at, piece in enumerate(pieces)]
    joiner, received = Joiner(), []
    for end in [*sorted(breaks), len(stamped)]:
        since = joiner.since
        start = 0 if since is None else 10 * int(since % 60)
        received += list(joiner.feed(iter(stamped[start:end])))
    received += list(joiner.end())
    assert received == [line.encode() for line in lines]


def test_trailing_zeros_of_a_time_do_not_matter() -> None:
    joiner = Joiner()
    first = list(joiner.feed(iter([b"2026-01-01T00:00:00.1Z a\n", b"2026-01-01T00:00:00.15Z b\n"])))
    again = list(joiner.feed(iter([b"2026-01-01T00:00:00.15Z b\n", b"2026-01-01T00:00:00.150000001Z c\n"])))
    assert (first, again) == ([b"a", b"b"], [b"c"])


def test_a_working_directory_of_this_machine_is_the_containers_too(tmp_path: Path) -> None:
    def asked(folder: str) -> dict[str, Any]:
        one = submission(image="image:1")
        return request(replace(one, spec=replace(one.spec, working_directory=folder)))

    here, path = asked(str(tmp_path)), str(tmp_path)
    mounts = here["HostConfig"]["Mounts"]
    assert {"Type": "bind", "Source": path, "Target": path, "ReadOnly": False} in mounts
    assert here["Cmd"][here["Cmd"].index("--cwd") + 1] == path
    assert "Mounts" not in asked("/no/such/folder/here")["HostConfig"]
