"""``nbstep-runner s3://… s3://… s3://…``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbstep_runner.stores import open_store
from servers import faultproxy
from servers.faultproxy import Kind
from servers.fixtures import new_name
from servers.ports import wait_until
from servers.runner_on_store import CELLS, Remote, RunnerOnStore
from servers.s3 import S3Server
from servers.versitygw import GatewayServer
from support.runs import RUNNER

pytestmark = pytest.mark.slow


class TestS3(RunnerOnStore):
    @pytest.fixture
    def remote(self, s3_server: S3Server, s3_folder: str) -> Iterator[Remote]:
        denied = new_name()
        s3_server.make_bucket(denied)
        s3_server.strict.denied_buckets.add(denied)
        with faultproxy.running(s3_server.port) as proxy:
            environment = s3_server.environment(proxy.endpoint)
            yield Remote(s3_folder, open_store(s3_folder), environment, proxy=proxy, denied=f"s3://{denied}/")

    def test_the_parameters_of_a_notebook_there_are_shown(self, remote: Remote, s3_server: S3Server) -> None:
        remote.put(CELLS)
        environment = {**remote.environment, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}
        done = subprocess.run(
            [*RUNNER, f"{remote.folder}in.ipynb", "--help-notebook", "--endpoint-url", s3_server.endpoint],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "rows: int" in done.stdout

    @pytest.mark.fault(15)
    def test_a_log_that_is_not_taken_delays_no_record(self, remote: Remote, tmp_path: Path) -> None:
        assert remote.proxy is not None
        remote.put(CELLS)
        remote.proxy.add(Kind.STATUS, "PUT", "out.log.jsonl", times=10_000)
        with remote.start(tmp_path, "--retry-seconds", "5") as running:
            wait_until(lambda: "out.result.json" in remote.names() and remote.record()["state"] == "succeeded")
            assert not running.ended
            done = running.finish(check=False)
        assert (done.code, done.stderr) == (0, "")
        assert remote.names() == {"out.ipynb", "out.result.json"}
        record = remote.record()
        assert (record["state"], record["exit_code"]) == ("succeeded", 0)
        assert any("out.log.jsonl" in warning for warning in record["warnings"])


class TestVersityGateway(RunnerOnStore):
    @pytest.fixture
    def remote(self, gateway: GatewayServer, gateway_folder: str) -> Remote:
        return Remote(gateway_folder, open_store(gateway_folder), gateway.environment())
