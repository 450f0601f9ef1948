"""Lines of a run's log, as a launcher reads and shows them; ``docs/logging.md`` describes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from nbstep.views.text import visible, visible_line


class CellOfLine(msgspec.Struct, frozen=True):
    """The cell that a line is about; ``index`` is its position."""

    index: int | None = None


class ErrorOfLine(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed."""

    reference: str = ""
    message: str = ""
    hint: str = ""
    cell_index: int | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: the members that views and launchers read.

    Attributes:
        seq: Counts from 1 within an attempt; ``None`` for a line that is not of the runner's.
        of_cell: The cell, if the line is of one.
        raw: The line as it came.
    """

    message: str
    time: str = ""
    severity: str = "INFO"
    event: str | None = None
    stream: str | None = None
    attempt: int | None = None
    seq: int | None = None
    run_id: str = ""
    input_uri: str = ""
    output_uri: str | None = None
    output_version: str | None = None
    html_uri: str | None = None
    log_uri: str | None = None
    of_cell: CellOfLine | None = msgspec.field(name="cell", default=None)
    partial: bool = False
    continues: bool = False
    progress: bool = False
    title: str = ""
    execution_count: int | None = None
    state: str = ""
    seconds: float | None = None
    code_cells: int = 0
    exit_code: int | None = None
    error: ErrorOfLine | None = None
    traceback: tuple[str, ...] = ()
    raw: bytes = b""

    @property
    def cell(self) -> int | None:
        """The position of the cell that the line is about."""
        return self.of_cell.index if self.of_cell else None


_DECODER: Final = msgspec.json.Decoder(LogLine)


def parse(raw: bytes) -> LogLine:
    """A line's members; what is not a line of ours, such as the last words of a crash, is a message on stderr."""
    try:
        line = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = visible_line(raw.decode(errors="replace").rstrip("\r\n"))
        return LogLine(message=text, stream="stderr", raw=raw)
    msgspec.structs.force_setattr(line, "raw", raw)
    return line


def notice(run_id: str, message: str, severity: str = "WARNING") -> bytes:
    """A line of the launcher's own, without ``seq``."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    members = {"time": now, "severity": severity, "run_id": run_id, "event": "notice", "message": message}
    return msgspec.json.encode(members)


def for_people(line: LogLine) -> str:
    """The line as the console shows it: the time, who speaks, what is said; of an error all of its traceback."""
    clock = _clock(line.time)
    if line.traceback:
        return "\n".join(f"{clock}[{line.cell}:error] {visible(text)}" for text in line.traceback)
    who = f"[{line.cell}]" if line.stream is not None or line.event == "output" else "nbstep:"
    level = f" {line.severity}:" if line.severity in ("WARNING", "ERROR") and line.stream is None else ""
    return f"{clock}{who}{level} {visible(line.message)}" if line.time else visible(line.message)


def _clock(time: str) -> str:
    if not time:
        return ""
    try:
        local = datetime.fromisoformat(time).astimezone()
    except ValueError:
        return ""
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} "


def print_lines(lines: Iterable[LogLine], file: TextIO | None) -> None:
    """Print lines for people as they come; to standard output if ``file`` is ``None``."""
    stream = file or sys.stdout
    for line in lines:
        stream.write(for_people(line) + "\n")
        stream.flush()
