"""Lines of a run's log, as a launcher reads and shows them; ``docs/logging.md`` describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec


class _Members(msgspec.Struct, frozen=True, kw_only=True):
    """What a line shows as it is written."""

    message: str
    time: str = ""
    severity: str = "INFO"
    event: str | None = None
    stream: str | None = None
    attempt: int | None = None
    seq: int | None = None


class LogLine(_Members, frozen=True, kw_only=True):
    """One line.

    Attributes:
        seq: Counts from 1 within an attempt; ``None`` for a line that is not of the runner's.
        cell: The cell's position, if the line is of a cell.
        raw: The line as it came.
    """

    cell: int | None = None
    raw: bytes = b""


class _Cell(msgspec.Struct, frozen=True):
    index: int | None = None


class _Written(_Members, frozen=True, kw_only=True):
    cell: _Cell | None = None


_DECODER: Final = msgspec.json.Decoder(_Written)


def parse(raw: bytes) -> LogLine:
    """A line's members; what is not a line of ours is its own message."""
    try:
        written = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return LogLine(message=raw.decode(errors="replace"), raw=raw)
    members = msgspec.structs.asdict(written)
    return LogLine(**{**members, "cell": written.cell.index if written.cell else None, "raw": raw})


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
