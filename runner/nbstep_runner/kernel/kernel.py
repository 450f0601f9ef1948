"""A live kernel: what it says, whether it lives, and how it is made to stop."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.kernel.client import KernelClient
from nbstep_runner.kernel.native_output import NativeOutput
from nbstep_runner.kernel.open_files import OpenFiles
from nbstep_runner.kernel.poller import Poller
from nbstep_runner.kernel.process import KernelProcess
from nbstep_runner.kernel.wire import Message

if TYPE_CHECKING:
    import zmq

LAST_WORDS_SECONDS: Final = 60.0
"""How long a dead kernel is listened to at most: a process that it has left could go on with its sockets."""
SILENCE_MS: Final = 20
BATCH: Final = 256
BATCH_TEXT: Final = 2**20
"""Characters of text after which a batch ends: large prints are held one at a time."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a wait brought: messages by channel, and what else there was.

    ``died`` comes after every message that the kernel sent before its death. ``woken`` says that the run's own file
    descriptor is readable: whoever waits has to attend to it.
    """

    iopub: tuple[Message, ...] = ()
    shell: tuple[Message, ...] = ()
    control: tuple[Message, ...] = ()
    died: bool = False
    woken: bool = False


class Kernel:
    """One kernel process and the sockets to it, driven by one thread.

    Args:
        process: The launched process.
        wake: A file descriptor that becomes readable when the run has to look up, such as at a signal.
    """

    def __init__(self, process: KernelProcess, wake: int) -> None:
        self.process = process
        self._wake = wake
        bounded = process.spec.is_ipykernel and not process.options.stock
        open_files = OpenFiles()
        self._client = KernelClient(process.connection, open_files, bounded=bounded)
        self._poller = Poller(open_files)
        sockets = [self._client.iopub, self._client.shell, self._client.control, self._client.heartbeat]
        if self._client.stdin is not None:
            sockets.append(self._client.stdin)
        self._pidfd, self._stderr = process.pidfd, process.stderr
        for source in (*sockets, self._pidfd, self._stderr, wake):
            self._poller.register(source)
        self.last_sign_of_life = time.monotonic()
        self._heard_at = self.last_sign_of_life
        self._gone_at: float | None = None
        self._native: NativeOutput | None = None

    def watch_native_output(self) -> None:
        """Take what native code prints where the kernel cannot do it itself. It has to be ready."""
        if self.process.spec.is_ipykernel:
            self._native = NativeOutput(self.process.pid, self._stderr)
            self._poller.register(self._native)

    def wait(self, seconds: float | None) -> Received:
        """Wait until the kernel says something, dies, or the run is to stop; at most ``seconds``."""
        ready = self._poller.poll(self._timeout(seconds))
        gone = self._pidfd in ready
        stuck = () if gone else self._stuck_output(ready)
        if not ready:
            return Received(iopub=stuck)
        if self._stderr in ready and not self.process.drain_stderr():
            self._poller.unregister(self._stderr)
        if self._client.stdin is not None and self._client.stdin in ready:
            self._answer_nothing(self._client.stdin)
        take = self._take_last if gone else partial(self._take, ready=ready)
        heard = Received(
            iopub=(*take(self._client.iopub), *stuck),
            shell=take(self._client.shell),
            control=take(self._client.control),
            woken=self._wake in ready,
        )
        if gone and self._is_silent(heard):
            last = tuple(self._native.take()) if self._native else ()
            heard = replace(heard, iopub=(*heard.iopub, *last), died=True)
        if heard.iopub or heard.shell:
            self._heard_at = time.monotonic()
        if heard.iopub or heard.shell or (self._client.heartbeat in ready and self._client.pong()):
            self.last_sign_of_life = time.monotonic()
        return heard

    def _answer_nothing(self, stdin: zmq.Socket[bytes]) -> None:
        """An empty line for a kernel that asks for input, and would wait for ever; R has that in a batch run."""
        while (question := self._client.receive(stdin)) is not None:
            if question.type == "input_request":
                self._request(stdin, "input_reply", {"value": ""})

    def _timeout(self, seconds: float | None) -> float | None:
        """Seconds to wait: as long as asked for, or until native output is to be looked at."""
        due = self._native.due if self._native else None
        until = [wait for wait in (seconds, None if due is None else due - time.monotonic()) if wait is not None]
        return max(0.0, min(until)) if until else None

    def _stuck_output(self, ready: set[Any]) -> tuple[Message, ...]:
        """What native code has printed that the kernel does not take now."""
        if self._native is None:
            return ()
        now = time.monotonic()
        if self._native in ready:
            self._native.notice(now)
        return tuple(self._native.take_stuck(now, self._heard_at))

    def _take(self, socket: zmq.Socket[bytes], ready: set[Any]) -> tuple[Message, ...]:
        """Messages that wait, a batch at most, so that no channel keeps the others from being heard."""
        if socket not in ready:
            return ()
        messages: list[Message] = []
        size = 0
        while len(messages) < BATCH and size < BATCH_TEXT and self._poller.is_readable(socket):
            message = self._client.receive(socket)
            if message is None:
                break
            messages.append(message)
            size += message.size
        return tuple(messages)

    def _take_last(self, socket: zmq.Socket[bytes]) -> tuple[Message, ...]:
        """The next batch of what a dead kernel has sent, empty where that was all; ZMQ may still be handing it over."""
        messages: list[Message] = []
        size = 0
        while len(messages) < BATCH and size < BATCH_TEXT:
            message = self._client.receive(socket)
            if message is not None:
                messages.append(message)
                size += message.size
            elif not self._client.wait_after_death(socket, SILENCE_MS):
                break
        return tuple(messages)

    def _is_silent(self, heard: Received) -> bool:
        """Whether a dead kernel has said all, or has been listened to for long enough."""
        now = time.monotonic()
        self._gone_at = self._gone_at or now
        said = heard.iopub or heard.shell or heard.control
        return not said or now - self._gone_at > LAST_WORDS_SECONDS

    def request(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> str:
        """Send a request on the shell channel and return its ``msg_id``."""
        return self._request(self._client.shell, kind, content, metadata)

    def _request(
        self, socket: zmq.Socket[bytes], kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> str:
        self._poller.used(socket)
        return self._client.request(socket, kind, content, metadata)

    def ping(self) -> None:
        """Ask for a heartbeat; :attr:`last_sign_of_life` moves when it comes."""
        self._poller.used(self._client.heartbeat)
        self._client.ping()

    def interrupt(self) -> None:
        """Interrupt the running cell, in the way that the kernelspec asks for."""
        if self.process.spec.interrupt_mode == "message":
            self._request(self._client.control, "interrupt_request", {})
        else:
            self.process.signal(signal.SIGINT)

    def request_shutdown(self) -> None:
        """Ask the kernel to end by itself, running its exit handlers."""
        self._request(self._client.control, "shutdown_request", {"restart": False})

    def close(self) -> None:
        """Close the sockets; the process is its owner's to end."""
        self._poller.close()
        if self._native:
            self._native.close()
        self._client.close()
