"""The fixtures of the cluster and its Argo, and a store that is a server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import relay, versitygw
from servers.argo import argo, argo_namespace
from servers.cluster import Api, Bucket, cluster, faults, kubeconfig, kueue, launcher, opened, runner_image

__all__ = ["argo", "argo_namespace", "cluster", "faults", "kubeconfig", "kueue", "launcher", "runner_image"]


@pytest.fixture(scope="session")
def bucket(cluster: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Of a gateway that pods reach without a way through this process, which is busy with the tests."""
    with (
        versitygw.running(tmp_path_factory.mktemp("gateway"), address="") as server,
        opened(cluster, server, f"http://{relay.host_address()}:{server.port}") as made,
    ):
        yield made
