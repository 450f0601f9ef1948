"""The client that S3 is reached by, and bodies that it sends when they are let go."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores.retrying import idle_within

_CONNECTIONS: Final = 64
"""Kept open between requests: a list of runs reads many objects at once."""


def new_client(options: StorageOptions) -> Any:
    """A client with the default credentials, without retries of its own: the policy of all stores retries."""
    idle = idle_within(options.retry_seconds)
    config = Config(
        connect_timeout=idle,
        read_timeout=idle,
        max_pool_connections=_CONNECTIONS,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",  # trailing checksums are refused by many servers
    )
    session = botocore.session.get_session()
    session.register_component("data_loader", _models(session.get_config_variable("data_path")))
    client = session.create_client("s3", endpoint_url=options.endpoint_url, config=config)
    client.meta.events.register("before-send.s3.PutObject", HeldBody.begin)
    return client


@cache
def _models(path: str | None) -> Loader:
    """The descriptions of Amazon's services, which take longest to load; credentials are looked up by each client."""
    return create_loader(path)


def is_amazon(client: Any) -> bool:
    """Whether the other side is Amazon's own, whose promises are documented."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


class HeldBody(io.BytesIO):
    """Bytes that wait for something to be done before the first of them is sent; signing may read them before."""

    def __init__(self, data: bytes, held: Callable[[], None]) -> None:
        super().__init__(data)
        self._held: Callable[[], None] | None = held
        self._on_the_wire = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes, once what was to be done is done."""
        if self._on_the_wire and self._held:
            held, self._held = self._held, None
            held()
        return super().read(size)

    @staticmethod
    def begin(request: Any, **_: Any) -> None:
        """What botocore calls before it sends a request."""
        if isinstance(request.body, HeldBody):
            request.body._on_the_wire = True  # noqa: SLF001 - of this class
