"""What the endpoint tells its run, over the kernel's own channel."""

from __future__ import annotations

import sys
from typing import Any, Final

MESSAGE: Final = "nbstep_serving"
"""The type of the messages; the runner knows it too, which need not be of this very version."""


def say(event: str, **content: Any) -> None:
    """Send the runner a message."""
    kernel = sys.modules["IPython"].get_ipython().kernel
    kernel.session.send(kernel.iopub_socket, MESSAGE, {"event": event, **content}, ident=MESSAGE.encode())


def tell(message: str, severity: str = "INFO", **fields: Any) -> None:
    """Tell the run's log a sentence."""
    say("log", message=message, severity=severity, fields=fields)
