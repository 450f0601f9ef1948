"""The life of an endpoint in its kernel: prepared, begun, drained. What the runner calls, by cells of its own.

The runner hears by messages of :mod:`nbstep_runner.serving.channel` that the endpoint listens, what its log has to
say, and that it has ended.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from nbstep_runner.contract import ServingOptions, decode
from nbstep_runner.serving import offer
from nbstep_runner.serving.channel import say

if TYPE_CHECKING:
    from nbstep_runner.serving.server import Server

NEEDED: Final = ("starlette", "uvicorn", "numpy")
_running: list[Server] = []


class NothingOfferedError(Exception):
    """The notebook has called no serve()."""


def prepare() -> None:
    """This process is to be an endpoint: ``serve()`` counts from now on.

    Raises:
        ModuleNotFoundError: What it takes is not installed where the kernel runs.
    """
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    say("prepared")  # fails where the kernel is not built on ipykernel
    offer.expect()


def begin(options: str) -> None:
    """Answer the example, then listen; returns once the endpoint answers. The address is told as a message.

    Args:
        options: :class:`~nbstep_runner.contract.ServingOptions` as JSON.

    Raises:
        NothingOfferedError: There is nothing to serve.
        OSError: The address cannot be listened on.
        Exception: What the callable raised on its own example.
    """
    offered = offer.offered()
    if offered is None:
        raise NothingOfferedError("no cell has called serve()")
    from nbstep_runner.serving.server import Server

    server = Server(offered, decode(options.encode(), ServingOptions))
    server.start()
    _running.append(server)


def drain(seconds: float) -> None:
    """Answer what is under way and whoever still comes, then end; returns at once, the end is told as a message."""
    for server in _running:
        server.drain(seconds)
    if not _running:
        say("ended", reason="it had not begun")
