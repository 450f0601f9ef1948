"""Lines of a run's log, as a launcher reads and shows them; ``docs/logging.md`` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line.

    Attributes:
        seq: Counts from 1 within an attempt; ``None`` for a line that is not of the runner's.
        cell: The cell's position, if the line is of a cell.
        raw: The line as it came.
    """

    message: str
    time: str = ""
    severity: str = "INFO"
    event: str | None = None
    stream: str | None = None
    attempt: int | None = None
    seq: int | None = None
    cell: int | None = None
    raw: bytes = b""


class _Cell(msgspec.Struct):
    index: int | None = None


class _Members(msgspec.Struct):
    message: str
    time: str = ""
    severity: str = "INFO"
    event: str | None = None
    stream: str | None = None
    attempt: int | None = None
    seq: int | None = None
    cell: _Cell | None = None


def parse(raw: bytes) -> LogLine:
    """A line's members; what is not a line of ours is its own message."""
    try:
        members = msgspec.json.decode(raw, type=_Members)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return LogLine(message=raw.decode(errors="replace"), raw=raw)
    return LogLine(
        message=members.message,
        time=members.time,
        severity=members.severity,
        event=members.event,
        stream=members.stream,
        attempt=members.attempt,
        seq=members.seq,
        cell=members.cell.index if members.cell else None,
        raw=raw,
    )


def notice(run_id: str, message: str, severity: str = "WARNING") -> bytes:
    """A line of the launcher's own, without ``seq``."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    members = {"time": now, "severity": severity, "run_id": run_id, "event": "notice", "message": message}
    return msgspec.json.encode(members)


def for_people(line: LogLine) -> str:
    """The line as the console shows it: the time, who speaks, what is said."""
    clock = _clock(line.time)
    who = f"[{line.cell}]" if line.stream is not None or line.event == "output" else "nbstep:"
    level = f" {line.severity}:" if line.severity in ("WARNING", "ERROR") and line.stream is None else ""
    return f"{clock}{who}{level} {_visible(line.message)}" if line.time else _visible(line.message)


def _clock(time: str) -> str:
    if not time:
        return ""
    try:
        local = datetime.fromisoformat(time).astimezone()
    except ValueError:
        return ""
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} "


def _visible(text: str) -> str:
    """The text without anything that could drive a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
