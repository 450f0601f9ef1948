"""The JSON form of the log: one object a line, readable by Cloud Logging as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from nbstep_runner.contract.events import Severity
from nbstep_runner.sinks.lines import Block, Source
from nbstep_runner.sinks.records import Record
from nbstep_runner.sinks.text import encodable, json_safe, visible, visible_in_json

_FLAGS = ("partial", "continues", "progress")
_REMEMBERED = 1000


class JsonLines:
    """Encodes the log of one run; ``seq`` is that of a block's first line, and ``time`` seconds since the epoch."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self._run = _members({"run_id": run_id, "attempt": attempt})
        self._constant: dict[tuple[Source, bool, bool, bool], bytes] = {}

    def text(self, block: Block, source: Source, seq: int, time: float) -> bytes:
        """The lines of a block, with its text as ``visible``.

        A million of them must cost less than a second, so all are joined in one go and no line is copied before.
        """
        head = b'{"time":"%b",%b,"seq":' % (_timestamp(time), self._around(block, source))
        text = visible_in_json(block.text).encode()
        lines = text.split(b"\n") if b"\n" in text else [text]  # which copies what has none, byte by byte
        parts = enumerate(lines, seq)
        return b"".join([part for number, line in parts for part in (head, b'%d,"message":"' % number, line, b'"}\n')])

    def record(self, record: Record, seq: int, time: float, *, whole: bool) -> bytes:
        """The line of a record, with the output that the notebook does not keep if ``whole``."""
        values: dict[str, Any] = {"severity": record.severity, "event": record.event}
        values["message"] = visible(record.message)
        if record.cell:
            values["cell"] = _cell(record.cell)
        if whole and record.whole:
            values["output"] = record.whole
        members = _members(values | record.fields)
        return b'{"time":"%b",%b,"seq":%d,%b}\n' % (_timestamp(time), self._run, seq, members)

    def _around(self, block: Block, source: Source) -> bytes:
        key = (source, block.partial, block.continues, block.progress)
        if key not in self._constant:
            if len(self._constant) >= _REMEMBERED:
                self._constant.clear()
            # Much that goes to stderr is no trouble at all: progress bars, the chatter of libraries.
            severity = Severity.NOTICE if source.stream == "stderr" else Severity.INFO
            flags = {flag: True for flag in _FLAGS if getattr(block, flag)}
            values = {"severity": severity, "cell": _cell(source.cell), "stream": source.stream} | flags
            self._constant[key] = b"%b,%b" % (self._run, _members(values))
        return self._constant[key]


def _cell(cell: tuple[int, str | None]) -> dict[str, Any]:
    return dict(zip(("index", "id"), cell, strict=True))


def _members(values: dict[str, Any]) -> bytes:
    """The members of a JSON object, without its braces."""
    try:
        data = msgspec.json.encode(values, enc_hook=str)
    except (UnicodeEncodeError, TypeError):
        data = msgspec.json.encode(encodable(values), enc_hook=str)
    return json_safe(data)[1:-1]


def _timestamp(time: float) -> bytes:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds").encode().replace(b"+00:00", b"Z")
