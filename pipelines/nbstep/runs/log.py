"""A run's log made complete: lines that its place did not give are read from the log in storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Final

from nbstep.views.log_lines import LogLine, notice, parse
from nbstep_runner.contract import LOG_ENDING, RunResult, of_attempt
from nbstep_runner.errors import InputNotFoundError
from nbstep_runner.stores import Store, sibling

LOG_SECONDS: Final = 5.0
"""How long after the record the log may come."""
LOOK_SECONDS: Final = 0.5


def complete(
    lines: Iterable[LogLine], run_id: str, newest: Callable[[], int], stored: Callable[[int], bytes]
) -> Iterator[LogLine]:
    """Every line of every attempt: those that come, and those that are in a stored log alone.

    Logs of a cluster are rotated, and vanish with their pod. Where an attempt has not come at all, its end is missing
    or a line of it has been passed over, its stored log is read: it has every line, once the attempt has ended.

    Args:
        lines: Those that the run's place gives, attempt after attempt.
        run_id: Whose log it is.
        newest: Tells the number of the newest attempt that has left a log.
        stored: Reads the stored log of an attempt; nothing where there is none.
    """
    seen, attempt, heard = Seen(), 1, False
    for line in lines:
        heard = True
        if line.attempt is not None and line.attempt > attempt:
            yield from _rest(seen, run_id, range(attempt, line.attempt), stored, heard=True)
            seen, attempt = Seen(), line.attempt
        seen.add(line)
        yield line
    yield from _rest(seen, run_id, range(attempt, max(attempt, newest()) + 1), stored, heard=heard)


def _rest(
    seen: Seen, run_id: str, attempts: range, stored: Callable[[int], bytes], *, heard: bool
) -> Iterator[LogLine]:
    """What has not come of these attempts, of which lines of the first may have been seen.

    It is told apart, by a notice, from what was ``heard`` of the run before; where nothing was, it is all there is.
    """
    for number in attempts:
        data = b"" if seen.whole else stored(number)
        if missing := sum(1 for _ in _unseen(data, seen)):
            if heard:
                of_attempt = "" if len(attempts) == 1 and number == 1 else f" of attempt {number}"
                words = f"{missing} lines{of_attempt} that had not come are read from the stored log"
                yield parse(notice(run_id, words, "NOTICE"))
            yield from _unseen(data, seen)
        seen = Seen()


def _unseen(data: bytes, seen: Seen) -> Iterator[LogLine]:
    """The lines of a stored log that have not come, one at a time: a log can be long."""
    lines = (parse(line.removesuffix(b"\n")) for line in BytesIO(data))
    return (line for line in lines if not seen.has(line))


class Seen:
    """Which lines of one attempt have come."""

    def __init__(self) -> None:
        self._next = 1
        self._gaps: list[range] = []
        self._finished = False

    def add(self, line: LogLine) -> None:
        """Note a line."""
        if line.seq is None:
            return
        if line.seq < self._next:  # counted anew: the attempt was begun again under its number
            self._next, self._gaps, self._finished = 1, [], False
        if line.seq > self._next:
            self._gaps.append(range(self._next, line.seq))
        self._next = line.seq + 1
        self._finished = self._finished or line.event == "run-finished"

    @property
    def whole(self) -> bool:
        """Whether nothing can be missing."""
        return self._finished and not self._gaps

    def has(self, line: LogLine) -> bool:
        """Whether a line of the attempt's stored log has come."""
        return line.seq is None or (line.seq < self._next and not any(line.seq in gap for gap in self._gaps))


def stored_log(store: Store, output_uri: str, attempt: int, read_record: Callable[[], RunResult | None]) -> bytes:
    """The stored log of an attempt that has ended; empty where there is none.

    That of the newest attempt is written beside its record, a moment after it, and moved aside by the next one.

    Args:
        store: Where the run's objects lie.
        output_uri: The run's output.
        attempt: The number of the attempt.
        read_record: Reads the run's record.
    """
    deadline = time.monotonic() + LOG_SECONDS
    while (record := read_record()) is not None:
        with suppress(InputNotFoundError):
            if record.attempt != attempt:
                return store.read(sibling(output_uri, of_attempt(attempt, LOG_ENDING))).data
            if not (record.state.final and record.log_uri):
                break
            data = store.read(sibling(output_uri, LOG_ENDING)).data
            if parse(data.partition(b"\n")[0]).attempt in (attempt, None):
                return data
        if record.attempt != attempt or time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return b""
