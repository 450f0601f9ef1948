"""Stores of buckets, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store
from nbstep_runner.stores.gcs import GcsStore
from nbstep_runner.stores.s3 import S3Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class S3Client:
    def list_objects_v2(self, **query: Any) -> dict[str, Any]:
        assert query == {"Bucket": "Bucket", "Prefix": "runs/"}
        return {"Contents": [{"Key": "runs/a", "Size": 1, "ETag": '"x"', "LastModified": NOW}]}


class GcsClient:
    def bucket(self, name: str, **_: Any) -> str:
        return name

    def list_blobs(self, bucket: str, *, prefix: str, **_: Any) -> Any:
        assert (bucket, prefix) == ("Bucket", "runs/")
        blob = SimpleNamespace(name="runs/a", size=1, generation=7, crc32c=None, updated=NOW)
        return SimpleNamespace(pages=iter([[blob]]), next_page_token=None)


def s3() -> Store:
    store = S3Store(StorageOptions())
    store._connected = S3Client()
    return store


def gcs() -> Store:
    store = GcsStore(StorageOptions())
    store._client = GcsClient()
    return store


@pytest.mark.parametrize(("store", "scheme"), [(s3, "s3"), (s3, "S3"), (gcs, "gs"), (gcs, "GS")])
def test_a_listing_names_objects_as_it_was_asked_for_them(store: Any, scheme: str) -> None:
    """Whoever compares what is listed with what was stored finds it, however the scheme was written."""
    assert [stat.uri for stat in store().list(f"{scheme}://Bucket/runs/")] == [f"{scheme}://Bucket/runs/a"]
