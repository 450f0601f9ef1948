"""A kernel that a test talks to directly."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from nbstep_runner.kernel.kernel import Kernel
from nbstep_runner.kernel.process import KernelProcess
from nbstep_runner.kernel.start import await_ready
from nbstep_runner.kernel.wire import Message


class Session:
    """A ready kernel that runs code."""

    def __init__(self, process: KernelProcess) -> None:
        self.process = process
        self._wake = os.pipe()
        self.kernel = Kernel(process, self._wake[0])
        self.info = await_ready(self.kernel, 60, lambda: None)

    def run(self, code: str) -> str:
        """What the code prints."""
        printed: list[str] = []
        for message in self.heard(self.send(code)):
            assert message.type != "error", message.content
            printed += message.texts() if message.type == "stream" else []
        return "".join(printed)

    def send(self, code: str) -> str:
        """Have the code run; the request's id."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
        return self.kernel.request("execute_request", content)

    def heard(self, asked: str) -> Iterator[Message]:
        """What comes on iopub until a request's end."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            heard = self.kernel.wait(1)
            yield from heard.iopub
            if any(each.parent_id == asked and each.content.get("execution_state") == "idle" for each in heard.iopub):
                return
            assert not heard.died, f"died with {self.process.exit_status}: {self.process.stderr_tail}"
        raise AssertionError("no end")

    def texts(self, asked: str) -> Iterator[str]:
        """What a request prints, and shows as HTML."""
        for message in self.heard(asked):
            if message.type == "stream":
                yield from message.texts()
            elif message.type == "display_data":
                yield message.content["data"]["text/html"]

    def reply(self, asked: str) -> Message:
        """The reply to a request."""
        (message,) = self.replies(asked)
        return message

    def replies(self, *asked: str) -> list[Message]:
        """The replies to several requests, which may come together."""
        found: dict[str, Message] = {}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found |= {message.parent_id: message for message in self.kernel.wait(1).shell}
            if found.keys() >= set(asked):
                return [found[each] for each in asked]
        raise AssertionError("no reply")

    def until_death(self) -> int | None:
        deadline = time.monotonic() + 20
        while not self.kernel.wait(1).died:
            assert time.monotonic() < deadline
        return self.process.exit_status

    def close(self) -> None:
        self.process.dispose()
        self.kernel.close()
        for descriptor in self._wake:
            os.close(descriptor)
