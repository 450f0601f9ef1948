"""A kernel that a test talks to directly."""

from __future__ import annotations

import os
import time

from nbstep_runner.kernel.kernel import Kernel
from nbstep_runner.kernel.process import KernelProcess
from nbstep_runner.kernel.start import await_ready


class Session:
    """A ready kernel that runs code."""

    def __init__(self, process: KernelProcess) -> None:
        self.process = process
        self._wake = os.pipe()
        self.kernel = Kernel(process, self._wake[0])
        self.info = await_ready(self.kernel, 60, lambda: None)

    def run(self, code: str) -> str:
        """What the code prints."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
        asked = self.kernel.request("execute_request", content)
        printed, deadline = "", time.monotonic() + 30
        while time.monotonic() < deadline:
            heard = self.kernel.wait(1)
            for message in heard.iopub:
                printed += message.content.get("text", "") if message.type == "stream" else ""
                assert message.type != "error", message.content
                if message.parent_id == asked and message.content.get("execution_state") == "idle":
                    return printed
            assert not heard.died, f"died with {self.process.exit_status}: {self.process.stderr_tail}"
        raise AssertionError(f"no end: {printed}")

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
