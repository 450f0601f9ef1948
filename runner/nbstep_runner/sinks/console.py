"""The form of the log for people: a time, who speaks, and a text.

What a notebook prints stands behind the number of its cell in brackets, what nbstep says behind its name, so that no
printed text passes for nbstep's.
"""

from __future__ import annotations

import time as clock

from nbstep_runner.contract.events import Severity
from nbstep_runner.sinks.lines import Block, Source
from nbstep_runner.sinks.records import Record
from nbstep_runner.sinks.text import visible, visible_line

_RESET, _DIM, _RED, _YELLOW, _BLUE, _CYAN = (f"\x1b[{code}m" for code in (0, 2, 31, 33, 34, 36))
_MARKED = {Severity.WARNING: _YELLOW, Severity.ERROR: _RED}


class ConsoleLines:
    """Encodes lines for people; with ``color``, for a terminal. ``time`` is in seconds since the epoch."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def text(self, block: Block, source: Source, time: float) -> bytes:
        """The lines of a block, with its text as ``visible``."""
        usual = source.stream == "stdout"
        tag = f"[{source.cell[0]}]" if usual else f"[{source.cell[0]}:{source.stream}]"
        prefix = self._prefix(tag, _CYAN if usual else _YELLOW, time)
        text = visible(block.text)
        return _prefixed(prefix, f"... {text}" if block.continues else text)

    def record(self, record: Record, time: float) -> bytes:
        """The lines of a record: a display or traceback as the cell's, anything else as nbstep's."""
        if record.cell and record.event == "output":
            failed = record.severity is Severity.ERROR
            tag = f"[{record.cell[0]}:error]" if failed else f"[{record.cell[0]}]"
            text = "\n".join(record.fields.get("traceback") or ()) or record.message
            return _prefixed(self._prefix(tag, _RED if failed else _CYAN, time), visible(text))
        color = _MARKED.get(record.severity, _BLUE)
        tag = f"nbstep: {record.severity}:" if record.severity in _MARKED else "nbstep:"
        error = record.fields.get("error") if record.event == "run-finished" else None
        sentences = [record.message, error["hint"]] if error and error["hint"] else [record.message]
        return _prefixed(self._prefix(tag, color, time), "\n".join(map(visible_line, sentences)))

    def _prefix(self, tag: str, color: str, time: float) -> str:
        stamp = f"{clock.strftime('%H:%M:%S', clock.localtime(time))}.{int(time % 1 * 1000):03d}"
        return f"{_DIM}{stamp}{_RESET} {color}{tag}{_RESET} " if self._color else f"{stamp} {tag} "


def _prefixed(prefix: str, text: str) -> bytes:
    separated = text.replace("\n", "\n" + prefix)
    return f"{prefix}{separated}\n".encode()
