"""An endpoint's application without a kernel, asked in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from nbstep_runner.contract import ServingOptions
from nbstep_runner.serving.app import Endpoint
from nbstep_runner.serving.calls import Calls
from nbstep_runner.serving.printed import Prints
from nbstep_runner.serving.signature import Signature
from support.asked import Asked


@dataclass
class Told:
    """What the endpoint told its run's log."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def tell(self, message: str, **fields: Any) -> None:
        self.lines.append((message, fields))


class Served(Asked):
    """A served callable."""

    def __init__(self, function: Callable[..., Any], example: dict[str, Any] | None = None, **options: Any) -> None:
        self.options = ServingOptions(**options)
        self.told = Told()
        signature = Signature(function, example or {})
        signature.learn()
        self.calls = Calls(function, self.options)
        self.endpoint = Endpoint(signature, self.calls, self.options, self.told.tell, Prints(self.told.tell))
        self.app = self.endpoint.app()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost")
