"""Telling a request that will never be replied to from one that is still worked on."""

from __future__ import annotations

import time
from typing import Final

from nbstep_runner.kernel.kernel import Kernel, Received

PATIENCE_SECONDS: Final = 1.0
"""How long a reply may come after its kernel is idle: they travel on two connections."""
ANSWER_SECONDS: Final = 60.0
"""How long a kernel that is idle may be silent before it counts as one that answers nothing any more."""


class LostReply:
    """Watches a request whose kernel says that it is done with it (``idle``) and has not replied.

    ipykernel does so where an interrupt meets it just before or after the code of a cell. The kernel is asked another
    question then: requests of one channel are answered in their order, so its answer shows that no reply to the first
    will come, while a kernel that has only said too early that it is done gets the time that it takes, as long as it is
    not silent for :data:`ANSWER_SECONDS`.

    Args:
        kernel: Who was asked.
        request_id: What has no reply yet.

    Attributes:
        is_certain: No reply will come.
        next_at: When :meth:`take` has something to do though nothing comes, by the monotonic clock.
    """

    def __init__(self, kernel: Kernel, request_id: str) -> None:
        self._kernel = kernel
        self._request_id = request_id
        self._question: str | None = None
        self.is_certain = False
        self.next_at: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until :attr:`next_at`."""
        return None if self.next_at is None else max(0.0, self.next_at - time.monotonic())

    def take(self, heard: Received) -> None:
        """Look at what a wait brought; ask the kernel when it is time to."""
        now = time.monotonic()
        for message in heard.iopub:
            if (message.type, message.parent_id) == ("status", self._request_id):
                self.next_at = now + PATIENCE_SECONDS if message.content.get("execution_state") == "idle" else None
        if self._question is None:
            if self.next_at is not None and now >= self.next_at:
                self._question = self._kernel.request("kernel_info_request", {})
                self.next_at = now + ANSWER_SECONDS
        elif heard.iopub or heard.shell:
            self.next_at = now + ANSWER_SECONDS
            self.is_certain = any(message.parent_id == self._question for message in heard.shell)
        elif self.next_at is not None and now >= self.next_at:
            self.is_certain = True
