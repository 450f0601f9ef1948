"""What a kernel says, in the types that the notebook format has: kernels, and notebooks, send what they like.

Whatever JSON a message holds, what is made of it here is valid by nbformat's schema (nbformat 4.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import msgspec

from nbstep_runner.kernel.death import signal_name
from nbstep_runner.kernel.kernel_json import TOO_DEEP
from nbstep_runner.kernel.wire import Message

CLEAN_EXITS: Final = ("", "0", "None")
"""Values of a ``SystemExit`` that mean success, as ``sys.exit`` has them (and papermill)."""

COMMAND_FAILED: Final = "nbstep_command_failed"
"""The message in which our own kernels tell of a command (``!``) that failed."""

COMMAND_LENGTH: Final = 200
"""Characters of a command that are shown."""

JSON_MIME: Final = re.compile(r"application/(.*\+)?json")
"""MIME types whose value is any JSON (nbformat's schema, ``mimebundle``); of all others it is text."""

LANGUAGE_INFO: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "codemirror_mode": (str, dict),
    "file_extension": (str,),
    "mimetype": (str,),
    "pygments_lexer": (str,),
}


LONGEST_TEXT: Final = 2**18
"""Characters of an error's value, or of an entry of its traceback, which is shown in notebook, log and record."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An error as a kernel tells of it; kernels of some languages leave its name empty, its value, or both."""

    name: str
    value: str
    traceback: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """The error in an ``error`` message or in a reply."""
        lines = content.get("traceback")
        traceback = map(text_of, lines) if isinstance(lines, list) else text_of(lines or "").splitlines()
        name, value = text_of(content.get("ename") or ""), text_of(content.get("evalue") or "")
        return cls(name, value, tuple(traceback))

    @property
    def is_exit(self) -> bool:
        """Whether the code asked to end, with whatever status."""
        return self.name == "SystemExit"

    @property
    def is_clean_exit(self) -> bool:
        """Whether the code asked to end, and called it success."""
        return self.is_exit and self.value in CLEAN_EXITS

    def shortened(self) -> Self:
        """Without the middle of texts that nobody would read; masked before, else half of a secret could be left."""
        return replace(
            self,
            name=_readable(self.name),
            value=_readable(self.value),
            traceback=tuple(map(_readable, self.traceback)),
        )

    def as_output(self) -> dict[str, Any]:
        """The error as an output of a cell."""
        return {"output_type": "error", "ename": self.name, "evalue": self.value, "traceback": list(self.traceback)}


@dataclass(frozen=True, slots=True)
class FailedCommand:
    """A command (``!``) of a cell that did not end with status 0."""

    command: str
    status: int

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """The command in a message of :data:`COMMAND_FAILED`."""
        status = content.get("status")
        return cls(text_of(content.get("command", "")).strip(), status if isinstance(status, int) else 1)

    def __str__(self) -> str:
        shown = self.command if len(self.command) <= COMMAND_LENGTH else f"{self.command[:COMMAND_LENGTH]}..."
        how = f"was ended by {signal_name(-self.status)}" if self.status < 0 else f"ended with status {self.status}"
        return f"the command {shown!r} {how}"


def _readable(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[nbstep: {len(text) - 2 * half:,} characters are left out here]\n{text[-half:]}"


def output_of(message: Message) -> dict[str, Any]:
    """A display, a value or an error as an nbformat output; ``transient`` stays out, as the format asks.

    One that was nested too deeply says so in place of its data.
    """
    content = message.content | _TOO_DEEP if message.too_deep else message.content
    if message.type == "error":
        return Raised.of(content).as_output()
    output = {"output_type": message.type, "data": bundle_of(content), "metadata": mapping(content.get("metadata"))}
    return output | ({"execution_count": count_of(content)} if message.type == "execute_result" else {})


def outputs_of(value: Any) -> list[dict[str, Any]]:
    """Outputs that a kernel sends as such, in the state of a widget; what is none is left out."""
    return [_output(each) for each in value if _is_output(each)] if isinstance(value, list) else []


def _is_output(value: Any) -> bool:
    return isinstance(value, dict) and value.get("output_type") in ("stream", "display_data", "execute_result", "error")


def _output(value: dict[str, Any]) -> dict[str, Any]:
    kind: str = value["output_type"]
    if kind == "stream":
        return {"output_type": kind, "name": stream_name(value), "text": text_of(value.get("text", ""))}
    return output_of(Message(type=kind, parent_id="", content=value))


_TOO_DEEP: Final[dict[str, Any]] = {
    "evalue": TOO_DEEP,
    "traceback": [TOO_DEEP],
    "data": {"text/plain": TOO_DEEP},
    "metadata": {},
}


def bundle_of(content: dict[str, Any]) -> dict[str, Any]:
    """The data of a display by MIME type."""
    data = mapping(content.get("data"))
    return {mime: value if JSON_MIME.fullmatch(mime) else text_of(value) for mime, value in data.items()}


def stream_name(content: dict[str, Any]) -> str:
    """The stream that text was printed to."""
    name = content.get("name")
    return name if isinstance(name, str) and name else "stdout"


def text_of(value: Any) -> str:
    """A value that should be text: lists of lines joined, anything else as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return msgspec.json.encode(value).decode()


def mapping(value: Any) -> dict[str, Any]:
    """A value that should be an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def count_of(content: dict[str, Any]) -> int | None:
    """The ``execution_count``, where it is a count."""
    count = content.get("execution_count")
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def display_id_of(content: dict[str, Any]) -> str | None:
    """What names a display for its updates; notebooks give ids of every type."""
    identity = mapping(content.get("transient")).get("display_id")
    return None if identity is None else text_of(identity)


def language_info_of(info: dict[str, Any]) -> dict[str, Any] | None:
    """The ``language_info`` of a ``kernel_info_reply``, in what the format takes of it; ``None`` without a name."""
    told = mapping(info.get("language_info"))
    fitting = {key: value for key, value in told.items() if isinstance(value, LANGUAGE_INFO.get(key, (object,)))}
    return fitting if "name" in fitting else None


def exit_asked(reply: dict[str, Any]) -> Raised | None:
    """The exit that a cell asked for by ``exit()`` or ``quit()`` (payload ``ask_exit``); ``None`` where it did not.

    IPython takes an argument for whether the kernel is to live on; whoever gives a status or a message means what
    ``sys.exit`` does with it.
    """
    payload = reply.get("payload")
    for part in map(mapping, payload if isinstance(payload, list) else ()):
        if part.get("source") == "ask_exit":
            given = part.get("keepkernel")
            return Raised("SystemExit", "" if given is None or isinstance(given, bool) else text_of(given))
    return None
