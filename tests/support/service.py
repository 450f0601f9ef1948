"""The service asked in this process, without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from nbstep.server.app import application
from nbstep.server.config import Config, config_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Service:
    """An application; each ``get`` and ``post`` is a request of its own."""

    def __init__(self, app: ASGIApp, base_url: str = "http://localhost:8000") -> None:
        self.app = app
        self.base_url = base_url

    @classmethod
    def of(cls, **document: Any) -> Service:
        """The service of a configuration, written as a file has it."""
        return cls(application(config(**document)))

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.request("GET", path, **request)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.request("POST", path, **request)

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())


def config(**document: Any) -> Config:
    """A configuration as a file would hold it."""
    return config_of(document, where="the test")
