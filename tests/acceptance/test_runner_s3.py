"""``nbstep-runner s3://… s3://… s3://…``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbstep_runner.stores import open_store
from servers import faultproxy
from servers.fixtures import new_name
from servers.runner_on_store import Remote, RunnerOnStore
from servers.s3 import S3Server


class TestS3(RunnerOnStore):
    @pytest.fixture
    def remote(self, s3_server: S3Server, s3_folder: str) -> Iterator[Remote]:
        denied = new_name()
        s3_server.make_bucket(denied)
        s3_server.strict.denied_buckets.add(denied)
        with faultproxy.running(s3_server.port) as proxy:
            environment = s3_server.environment(proxy.endpoint)
            yield Remote(s3_folder, open_store(s3_folder), environment, proxy=proxy, denied=f"s3://{denied}/")
