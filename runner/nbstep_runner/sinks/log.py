"""The log of a run: every event a line, complete in a file, and as it happens on a stream."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from time import monotonic, sleep, time
from typing import BinaryIO

from nbstep_runner.contract.events import Event, OutputsCleared, Severity, StreamText
from nbstep_runner.sinks.console import ConsoleLines
from nbstep_runner.sinks.json_lines import JsonLines
from nbstep_runner.sinks.outlet import Outlet
from nbstep_runner.sinks.records import Record, describe
from nbstep_runner.sinks.spool import Spool
from nbstep_runner.sinks.writer import LogWriter

CAPACITY = 16 * 1024 * 1024
"""Bytes of events that wait to be written; past them ``handle`` waits for the disk."""

_DISK_STALLED_AFTER = 30.0
_PAUSE = 0.004  # so that a burst of small events is written in batches, not one by one
_PASS = 0.05
_MERGED_WITHIN = 0.01
_MERGED_BYTES = 2**20
_LAST_GAP = 1.0
"""Seconds that telling a late reader what it missed takes at most."""

Item = tuple[float, StreamText | Record | OutputsCleared | threading.Event, int]
"""When it came, what it is, about how many bytes it holds; an event of ``threading`` is set when its turn comes."""


class LogFormat(StrEnum):
    """How lines look on the stream; the file is always JSON lines."""

    JSON = "json"
    CONSOLE = "console"


class LogSink:
    """Writes a run's events as lines to ``path`` (JSON) and to ``stream`` (in ``format``).

    The file gets every line. So does the stream, in its reader's own time: what it has not taken waits on disk, beside
    ``path``. A gap, where the disk has no more room or the run has ended long ago, is told in a line of its own. When
    the file cannot be written, the stream goes on.

    Args:
        run_id: The run.
        attempt: Its attempt, from 1.
        path: The local file that gets the complete log, or ``None``.
        stream: A binary stream, such as ``sys.stdout.buffer``, or ``None``. Where it is a file of the operating system,
            it is written past its buffer; it has to stay open until ``close`` has returned.
        format: How the lines of the stream look.
        quiet: The stream shows warnings and errors only.
        location: Where people will find the complete log; the file's path when empty.
    """

    def __init__(  # noqa: PLR0913 - the settings of a log, all but two of them by name
        self,
        run_id: str,
        attempt: int,
        *,
        path: Path | None,
        stream: BinaryIO | None,
        format: LogFormat,  # noqa: A002 - the word that the command line has for it
        quiet: bool = False,
        location: str = "",
    ) -> None:
        color = stream is not None and stream.isatty() and "NO_COLOR" not in os.environ
        self._spool = Spool(path) if path else None
        self._writer = LogWriter(
            JsonLines(run_id, attempt),
            spool=self._spool,
            outlet=Outlet(stream, path.parent if path else None) if stream else None,
            console=ConsoleLines(color=color) if format is LogFormat.CONSOLE else None,
            quiet=quiet,
            location=location or str(path or ""),
        )
        self._queue: deque[Item] = deque()
        self._held = 0
        self._room = threading.Condition()
        self._wake = threading.Event()
        self._deadline: float | None = None
        self._filed = threading.Event()
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="nbstep-log", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> int:
        """Lines logged; final after ``close``."""
        return self._writer.lines

    @property
    def bytes(self) -> int:
        """Size of the log file."""
        return self._spool.bytes if self._spool else 0

    @property
    def complete(self) -> bool:
        """Whether the log file, if one was asked for, has every line; final after ``close``."""
        return not self.warnings

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the log file should know about it."""
        lost = (f"{self._lost} events are missing in the log file: the disk did not take them in time",)
        stuck = ("the log file was not finished in time",)
        late = self._deadline is not None and monotonic() >= self._deadline and not self._filed.is_set()
        return (*self._writer.warnings, *(lost if self._lost else ()), *(stuck if late else ()))

    def handle(self, event: Event) -> None:
        """Take an event to the log; waits only where the disk is what is slow."""
        if isinstance(event, StreamText):
            self._put(event, event.text.__sizeof__() + 200)
        elif isinstance(event, OutputsCleared):
            self._put(event, 200)
        else:
            record = _described(event)
            self._put(record, record.size)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was told so far is in the file, for at most ``timeout`` seconds; whether it is."""
        done = threading.Event()
        self._put(done, 0)
        return done.wait(timeout if self._deadline is None else 0.0)

    def close(self, timeout: float) -> None:
        """Write out what is held, for about ``timeout`` seconds at most; later events are ignored.

        The stream's reader gets that time as long as it goes on reading.
        """
        with self._room:
            if self._deadline is None:
                self._deadline = monotonic() + timeout
        self._wake.set()
        self._thread.join(timeout + _LAST_GAP)

    def _put(self, item: StreamText | Record | OutputsCleared | threading.Event, size: int) -> None:
        moment = time()
        with self._room:
            if self._deadline is not None:
                return
            patience = 0.0 if self._lost else _DISK_STALLED_AFTER
            if self._held > CAPACITY and not self._room.wait_for(lambda: self._held <= CAPACITY, patience):
                self._lost += 1
                return
            self._queue.append((moment, item, size))
            self._held += size
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        wait: float | None = None
        while self._deadline is None or self._queue:
            self._wake.wait(wait)
            self._wake.clear()
            self._writer.tell_gap()
            self._write_queue(until=monotonic() + _PASS)
            wait = self._writer.tick()
            if self._queue:
                self._wake.set()
            sleep(_PAUSE if self._deadline is None else 0.0)
        self._writer.finish()
        self._filed.set()
        self._writer.close(self._deadline)

    def _write_queue(self, until: float) -> None:
        while self._queue and monotonic() < until:
            moment, item, size = self._next()
            if isinstance(item, threading.Event):
                self._writer.settle()
                item.set()
            else:
                self._writer.write(item, moment)
            with self._room:
                self._held -= size
                self._room.notify_all()

    def _next(self) -> Item:
        """The oldest item; texts of one stream that came together are taken as one."""
        moment, item, size = self._queue.popleft()
        if not isinstance(item, StreamText):
            return moment, item, size
        texts = [item.text]
        while size < _MERGED_BYTES and self._queue and (following := _continuation(self._queue[0], item, moment)):
            texts.append(following.text)
            size += self._queue.popleft()[2]
        return moment, replace(item, text="".join(texts)) if len(texts) > 1 else item, size


def _continuation(candidate: Item, text: StreamText, moment: float) -> StreamText | None:
    time, item, _ = candidate
    if time - moment > _MERGED_WITHIN or not isinstance(item, StreamText):
        return None
    same = (item.index, item.id, item.stream, item.area) == (text.index, text.id, text.stream, text.area)
    return item if same else None


def _described(event: Event) -> Record:
    try:
        return describe(event)
    except Exception as error:  # noqa: BLE001 - an event that cannot be told must not end a run
        message = f"an event of type {type(event).__name__} could not be logged ({type(error).__name__})"
        return Record("notice", Severity.WARNING, message)
