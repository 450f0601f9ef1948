"""A run that serves after its last cell: the kernel answers requests until it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from nbstep_runner.contract import Event, Notice, Serving, ServingOptions, Severity, encode
from nbstep_runner.engine.recorder import Recorder
from nbstep_runner.engine.text import without_ansi
from nbstep_runner.engine.watches import LostReply
from nbstep_runner.errors import BadInputError, CellFailedError, KernelUnavailableError, NbstepError
from nbstep_runner.kernel.death import explain
from nbstep_runner.kernel.kernel import Kernel, Received
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from nbstep_runner.supervisor import Supervisor

MESSAGE: Final = "nbstep_serving"
"""The type of the messages of :mod:`nbstep_runner.serving.channel`, in a process that need not have our version."""
ENDPOINT: Final = "__import__('nbstep_runner.serving.endpoint', fromlist=['']).{call}"
DRAIN_SHARE: Final = 0.6
"""Of what is left of the grace period, what requests have to be answered; saving and publishing need the rest."""
DRAIN_SLACK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a held run uses.

    Attributes:
        listening: Told where the endpoint answers, once it does.
    """

    kernel: Kernel
    recorder: Recorder
    masker: Masker
    supervisor: Supervisor
    memory: MemoryWatch
    emit: Callable[[Event], None]
    listening: Callable[[Serving], None]


class Endpoint:
    """The served notebook, as its kernel's messages show it.

    Args:
        held: What it uses.
        options: Where and how it is served.
    """

    def __init__(self, held: Held, options: ServingOptions) -> None:
        self._held = held
        self._options = options
        self._reply: dict[str, Any] | None = None
        self._request_id = ""
        self._died = False
        self._ended: str | None = None

    def prepare(self) -> None:
        """Make ready before the first cell, so that what is missing is known before an hour of loading.

        Raises:
            BadInputError: The kernel is one of another language.
            KernelUnavailableError: Where the kernel runs lacks what serving takes.
            NbstepError: The run was stopped, or the kernel died.
        """
        spec = self._held.kernel.process.spec
        if spec.language.lower() != "python":
            raise BadInputError(
                f"a notebook in {spec.language or spec.name} cannot be served",
                hint="Serving takes a Python kernel: the endpoint answers from the kernel's own process.",
            )
        reply = self._ask("prepare()")
        if reply.get("status") != "ok":
            raise KernelUnavailableError(
                f"the kernel {spec.name!r} cannot serve: {_said(reply)}",
                hint="Install nbstep[serve] in the kernel's environment, or take an image that has it.",
            )

    def serve(self) -> NbstepError:
        """Serve until the run is to end, and return why it does.

        That is a signal, the kernel's death, a notebook that has offered nothing, or an endpoint that could not begin:
        its example fails, or its address is taken.
        """
        try:
            return self._serve()
        except NbstepError as error:
            return error

    def _serve(self) -> NbstepError:
        reply = self._ask(f"begin({encode(self._options).decode()!r})")
        if reply.get("ename") == "NothingOfferedError":
            raise BadInputError(
                "the notebook offers nothing to serve", hint="Call serve(function) of nbstep_runner in a cell."
            )
        if reply.get("status") != "ok":
            raise CellFailedError(f"the endpoint could not begin: {_said(reply)}", context=_traceback(reply))
        while self._ended is None and not self._died and self._held.supervisor.stop is None:
            self._take(self._held.kernel.wait(None))
        stop = self._held.supervisor.stop
        if stop is not None:
            self._drain(self._held.supervisor.seconds_left * DRAIN_SHARE)
            return stop.error
        if self._died:
            return explain(self._held.kernel.process, self._held.memory)
        return CellFailedError(f"the endpoint ended by itself: {self._ended or 'it was told to'}")

    def _drain(self, seconds: float) -> None:
        """Let requests be answered, for so long at most."""
        self._request(f"drain({max(1.0, seconds - DRAIN_SLACK_SECONDS)!r})")
        until = time.monotonic() + seconds
        while self._ended is None and not self._died and (left := until - time.monotonic()) > 0:
            self._take(self._held.kernel.wait(left))

    def _ask(self, call: str) -> dict[str, Any]:
        """Call a function of the endpoint's room and return the kernel's reply.

        Raises:
            NbstepError: The run was stopped, the kernel died, or it does not reply.
        """
        self._request(call)
        lost = LostReply(self._held.kernel, self._request_id)
        while self._reply is None:
            heard = self._held.kernel.wait(lost.seconds_left)
            self._take(heard)
            lost.take(heard)
            self._held.supervisor.check()
            if self._died:
                raise explain(self._held.kernel.process, self._held.memory)
            if self._reply is None and lost.is_certain:
                raise KernelUnavailableError("the kernel has not replied to what makes it an endpoint")
        return self._reply

    def _request(self, call: str) -> None:
        self._reply = None
        content = {"code": ENDPOINT.format(call=call), "silent": True, "store_history": False, "allow_stdin": False}
        self._request_id = self._held.kernel.request(
            "execute_request", content | {"user_expressions": {}, "stop_on_error": True}
        )

    def _take(self, heard: Received) -> None:
        for message in heard.iopub:
            if message.type == MESSAGE:
                self._note(message)
            elif (message.type, message.parent_id) != ("error", self._request_id):  # its reply says it too
                self._held.recorder.handle(message)
        for message in heard.shell:
            if message.type == "execute_reply" and message.parent_id == self._request_id:
                self._reply = self._held.masker.mask_value(message.content)
        self._died = self._died or heard.died
        if heard.woken:
            self._held.supervisor.attend()

    def _note(self, message: Message) -> None:
        """What the endpoint has to say; what is not as it says it is not its."""
        match self._held.masker.mask_value(message.content):
            case {"event": "log", "message": str(text), "severity": str(severity), "fields": dict(fields)}:
                known = Severity.ERROR if severity == Severity.ERROR else Severity.INFO
                self._held.emit(Notice(message=text, severity=known, fields=fields))
            case {"event": "listening", "host": str(host), "port": int(port)}:
                url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                self._held.emit(Notice(message=f"serving {self._options.name} at {url}", severity=Severity.NOTICE))
                self._held.listening(Serving(url, datetime.now(UTC).isoformat(timespec="milliseconds")))
            case {"event": "ended", "reason": str(reason)}:
                self._ended = reason


def _said(reply: dict[str, Any]) -> str:
    return without_ansi(f"{reply.get('ename', 'Error')}: {reply.get('evalue', '')}")


def _traceback(reply: dict[str, Any]) -> str:
    return without_ansi("\n".join(map(str, reply.get("traceback") or ())))
