"""The end of a log: what the place where the run took place did not give is read from storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from nbstep.views.log_lines import LogLine, notice, parse
from nbstep_runner.contract import RunResult
from nbstep_runner.errors import InputNotFoundError
from nbstep_runner.stores import Store, sibling

LOG_SECONDS: Final = 5.0
"""How long after the record the log may come."""
LOOK_SECONDS: Final = 0.5


def complete(lines: Iterable[LogLine], run_id: str, stored: Callable[[], bytes]) -> Iterator[LogLine]:
    """Every line that comes, and at the end those that are only in the stored log of the last attempt.

    Logs of a cluster are rotated, and vanish with their pod. Only where the end of the log is missing, or a line has
    been passed over, is the stored log read: it has every line, once the run has ended.

    Args:
        lines: Those that the run's place gives.
        run_id: Whose log it is.
        stored: Reads the stored log.
    """
    seen = Seen()
    for line in lines:
        seen.add(line)
        yield line
    missing = [] if seen.whole else [line for line in map(parse, stored().splitlines()) if not seen.has(line)]
    if missing:
        yield parse(notice(run_id, f"{len(missing)} lines that had not come are read from the stored log", "NOTICE"))
        yield from missing


class Seen:
    """Which lines of the newest attempt have come."""

    def __init__(self) -> None:
        self._attempt = 0
        self._next = 1
        self._gaps: list[range] = []
        self._finished = False

    def add(self, line: LogLine) -> None:
        """Note a line."""
        if line.seq is None or line.attempt is None:
            return
        if line.attempt != self._attempt or line.seq < self._next:
            self._attempt, self._next, self._gaps, self._finished = line.attempt, 1, [], False
        if line.seq > self._next:
            self._gaps.append(range(self._next, line.seq))
        self._next = line.seq + 1
        self._finished = self._finished or line.event == "run-finished"

    @property
    def whole(self) -> bool:
        """Whether nothing can be missing."""
        return self._finished and not self._gaps

    def has(self, line: LogLine) -> bool:
        """Whether a line of the stored log has come."""
        if line.seq is None or line.attempt is None or line.attempt < self._attempt:
            return True
        if line.attempt > self._attempt:
            return False
        return line.seq < self._next and not any(line.seq in gap for gap in self._gaps)


def stored_log(store: Store, output_uri: str, record: RunResult | None) -> bytes:
    """The stored log of a run that has ended, which is written beside its record; empty where there is none."""
    deadline = time.monotonic() + LOG_SECONDS
    while record is not None and record.state.final and record.log_uri:
        try:
            return store.read(sibling(output_uri, ".log.jsonl")).data
        except InputNotFoundError:
            if time.monotonic() > deadline:
                break
        time.sleep(LOOK_SECONDS)
    return b""
