"""``nbstep-runner gs://… gs://… gs://…``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbstep_runner.stores import open_store
from servers import faultproxy
from servers.fixtures import new_name
from servers.gcs import GcsServer
from servers.runner_on_store import Remote, RunnerOnStore

pytestmark = pytest.mark.slow


class TestGs(RunnerOnStore):
    @pytest.fixture
    def remote(self, gcs_server: GcsServer, gcs_folder: str) -> Iterator[Remote]:
        denied = new_name()
        gcs_server.make_bucket(denied)
        gcs_server.state.denied_buckets.add(denied)
        with faultproxy.running(gcs_server.port) as proxy:
            environment = gcs_server.environment(proxy.endpoint)
            yield Remote(gcs_folder, open_store(gcs_folder), environment, proxy=proxy, denied=f"gs://{denied}/")
