"""Runs listed over a network on which every request takes 50 ms: the requests are counted, because time depends."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from nbstep.runs.history import AT_ONCE, history
from nbstep_runner.contract import StorageOptions, encode
from nbstep_runner.stores import open_store
from nbstep_runner.stores.http import FOLDERS_AT_ONCE
from servers import faultproxy
from servers.faultproxy import Proxy
from servers.fixtures import new_name
from servers.nginx import NginxServer
from servers.versitygw import GatewayServer
from support.records import run_record

if TYPE_CHECKING:
    import pytest

RUNS = int(os.environ.get("NBSTEP_LISTED_RUNS", "100"))
PAGE, DELAY = 20, 0.05


def _fill(folder: Path) -> None:
    """Straight onto the server's disk: a record and a notebook for each run."""
    record = encode(run_record())
    for number in range(RUNS):
        run = folder / f"run-{number:04}"
        run.mkdir(parents=True)
        (run / "output.result.json").write_bytes(record)
        (run / "output.ipynb").write_bytes(b"{}")


def _listed(folder: str, proxy: Proxy, options: StorageOptions) -> Counter[str]:
    """How many requests of each kind the newest runs take."""
    proxy.delay = DELAY
    began = time.perf_counter()
    assert len(history(folder, storage=options, limit=PAGE)) == PAGE
    print(f"{folder}: {time.perf_counter() - began:.1f} s for {len(proxy.seen)} requests")  # noqa: T201 - shown with -s
    return Counter(seen.method for seen in proxy.seen)


def test_a_bucket_is_listed_by_the_page(gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = new_name()
    with faultproxy.running(gateway.port) as proxy:
        for name, value in gateway.environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        gateway.client().create_bucket(Bucket=bucket)
        _fill(gateway.root / bucket)
        asked = _listed(f"s3://{bucket}/", proxy, StorageOptions())
    assert asked["GET"] <= 1 + 2 * RUNS // 1000 + 3 * AT_ONCE, (
        "a page for a thousand objects; files put below a gateway have no entity tag, and are read thrice"
    )
    assert asked.keys() == {"GET"}


def test_folders_of_a_server_are_listed_once_each(web_server: NginxServer) -> None:
    name = new_name()
    _fill(web_server.root / name)
    with faultproxy.running(web_server.port) as proxy:
        folder = f"{web_server.uri(proxy.port)}{name}/"
        asked = _listed(folder, proxy, StorageOptions(allow_private_addresses=True))
    assert asked["PROPFIND"] == RUNS + 1
    assert 1 <= asked["HEAD"] <= FOLDERS_AT_ONCE, "nginx lists no entity tags; the first show how it makes them"
    assert asked["GET"] <= AT_ONCE
    assert asked.keys() == {"PROPFIND", "HEAD", "GET"}


def test_what_a_listing_tells_is_what_the_server_tells_of_each_object(web_server: NginxServer) -> None:
    name = new_name()
    _fill(web_server.root / name)
    folder = f"{web_server.uri()}{name}/"
    store = open_store(folder, StorageOptions(allow_private_addresses=True))
    listed = {stat.uri: stat.version for stat in store.list(folder)}
    assert len(listed) == 2 * RUNS
    for uri in (f"{folder}run-{RUNS - 1:04}/output.ipynb", f"{folder}run-{RUNS // 2:04}/output.result.json"):
        assert listed[uri] == store.read(uri).version
