"""Lines, numbered and encoded, to the log's file and stream."""

from __future__ import annotations

from time import monotonic
from time import time as now

from nbstep_runner.contract.events import OutputsCleared, Severity, StreamText
from nbstep_runner.sinks.console import ConsoleLines
from nbstep_runner.sinks.json_lines import JsonLines
from nbstep_runner.sinks.lines import Block, LineAssembler, Redrawn, Shown, Source
from nbstep_runner.sinks.outlet import Outlet
from nbstep_runner.sinks.records import Record
from nbstep_runner.sinks.spool import Spool

_CHUNK = 256 * 1024
_SMALL = 64 * 1024
_READER_CHECKED_EACH = 0.1
_LAST_WORDS = 0.5
"""Seconds that a reader which has been given up has for what it is told last."""
_TROUBLE = (Severity.WARNING, Severity.ERROR)

Area = tuple[tuple[int, str | None] | None, str]
"""Where output is shown: a cell, and the output widget in it (see ``StreamText``)."""


class LogWriter:
    """Turns events into lines; used by one thread only.

    Args:
        spool: The file of the complete log.
        outlet: The stream.
        console: The form of the stream's lines; JSON where it is ``None``.
        quiet: The stream gets records of warnings and errors only.
        location: Where the complete log is, for people.
    """

    def __init__(
        self,
        encoder: JsonLines,
        *,
        spool: Spool | None,
        outlet: Outlet | None,
        console: ConsoleLines | None,
        quiet: bool,
        location: str,
    ) -> None:
        self.lines = 0
        self.warnings: list[str] = []
        self._json, self._console = encoder, console
        self._spool, self._outlet = spool, outlet
        self._quiet, self._location = quiet, location
        self._assemblers: dict[Source, LineAssembler] = {}
        self._heard: dict[Source, float] = {}
        self._redrawn: dict[Area, Redrawn] = {}
        self._for_file: list[bytes] = []
        self._for_stream: list[bytes] = []
        self._size = self._stream_lines = 0
        self._filed = False
        """The file has its last line: the verdict, as a rule."""
        self._verdict = b""

    def write(self, item: StreamText | Record | OutputsCleared, time: float) -> None:
        """Take printed text, a record, or that something was cleared.

        It came at ``time``, in seconds since the epoch.
        """
        if isinstance(item, OutputsCleared):
            cell = (item.index, item.id)
            self._finish_lines(cell, time)
            self._redrawn.setdefault((cell, item.area), Redrawn()).clear(monotonic(), wait=item.wait)
            return
        if isinstance(item, Record) and (item.event == "cell-finished" or item.severity is Severity.ERROR):
            self._release(item.cell)
        redrawn = self._redrawn.get((_cell_of(item), item.area))
        self._show(redrawn.take(item, time, monotonic()) if redrawn else [(item, time)])

    def _write(self, item: StreamText | Record, time: float) -> None:
        if isinstance(item, StreamText):
            source = Source((item.index, item.id), item.stream)
            assembler = self._assemblers.setdefault(source, LineAssembler())
            self._heard[source] = time
            for block in assembler.feed(item.text, monotonic()):
                self._text(block, source, time)
            return
        if item.cell:
            self._show_waiting(item.cell, time)
        if item.event == "cell-finished":
            self._finish_lines(item.cell, time)
            self._redrawn = {area: redrawn for area, redrawn in self._redrawn.items() if area[0] != item.cell}
        self._record(item, time)

    def tick(self) -> float | None:
        """Write out what has waited long enough; in how many seconds it has to be called again, at the latest."""
        for redrawn in self._redrawn.values():
            if redrawn.due is not None and redrawn.due <= monotonic():
                self._show(redrawn.release(monotonic()))
        for source, assembler in self._assemblers.items():
            for block in assembler.tick(monotonic()):
                self._text(block, source, self._heard[source])
        self.flush()
        dues = [*(each.due for each in self._assemblers.values()), *(each.due for each in self._redrawn.values())]
        due = [moment for moment in dues if moment is not None]
        waits = [max(0.0, min(due) - monotonic())] if due else []
        if self._outlet and self._outlet.dropped:
            waits.append(_READER_CHECKED_EACH)
        return min(waits, default=None)

    def tell_gap(self) -> None:
        """Tell a reader that has caught up what it missed."""
        if self._outlet and self._outlet.dropped:
            self._tell_missed(self._outlet, self._outlet.recovered())

    def _tell_missed(self, outlet: Outlet, missed: int) -> None:
        """Say how many lines are missing; the verdict, which is the last that is said, never is."""
        if missed and self._verdict:
            outlet.offer(self._verdict, 1)
            missed -= 1
        if missed:
            where = f"the complete log is {self._location}" if self._location else "no complete log is kept"
            message = f"{missed} lines are not shown here, because they were not read in time; {where}"
            self._record(Record("notice", Severity.WARNING, message, fields={"fields": {"missed": missed}}), now())

    def finish(self) -> None:
        """Write out everything there is: no more will come."""
        self._release(None)
        self._finish_lines(None, now())
        self.flush()
        self._filed = True

    def close(self, deadline: float) -> None:
        """Let the stream's reader catch up until ``deadline`` of the monotonic clock, and close the file.

        A reader that takes nothing, or not all in time, is told what it missed.
        """
        if self._outlet:
            caught_up = self._outlet.flush(deadline)
            self._tell_missed(self._outlet, self._outlet.recovered() if caught_up else self._outlet.give_up())
            self.flush()
            self._outlet.flush(monotonic() + _LAST_WORDS)
            self._outlet.close()
        if self._spool:
            self._spool.close()

    def flush(self) -> None:
        """Hand over the lines that have been encoded."""
        same = self._for_file == self._for_stream
        for_file = b"".join(self._for_file)
        for_stream = for_file if same else b"".join(self._for_stream)
        count, self._stream_lines, self._size = self._stream_lines, 0, 0
        self._for_file, self._for_stream = [], []
        if for_stream and self._outlet:
            self._outlet.offer(for_stream, count)
        if self._spool:
            self._spool.write(for_file)
            self._report_failure(self._spool)

    def settle(self) -> None:
        """Write out what has come so far, lines that have not ended too."""
        self._release(None)
        self._show_waiting(None, now())
        self.flush()

    def _show_waiting(self, cell: tuple[int, str | None] | None, time: float) -> None:
        """Show the begun lines of a cell, or of every cell: something else comes after them."""
        for source, assembler in self._assemblers.items():
            if cell in (None, source.cell):
                for block in assembler.show(monotonic()):
                    self._text(block, source, time)

    def _show(self, items: list[Shown]) -> None:
        for item, time in items:
            self._write(item, time)

    def _release(self, cell: tuple[int, str | None] | None) -> None:
        """Show what is held of a cell, or of every cell: it stays as it is, or something else comes after."""
        for area, redrawn in self._redrawn.items():
            if cell in (None, area[0]):
                self._show(redrawn.release(monotonic()))

    def _finish_lines(self, cell: tuple[int, str | None] | None, time: float) -> None:
        """End the lines of a cell, or of every cell, and forget what is idle."""
        for source, assembler in list(self._assemblers.items()):
            if cell in (None, source.cell):
                for block in assembler.finish():
                    self._text(block, source, time)
            if assembler.idle:
                del self._assemblers[source]
                self._heard.pop(source, None)

    def _text(self, block: Block, source: Source, time: float) -> None:
        line = self._json.text(block, source, self.lines + 1, time) if self._needs_json else b""
        for_stream = b""
        if self._outlet and not self._quiet:
            for_stream = self._console.text(block, source, time) if self._console else line
        self._put(line, for_stream, block.text.count("\n") + 1)

    def _record(self, record: Record, time: float) -> None:
        seq = self.lines + 1
        line = self._json.record(record, seq, time, whole=True) if self._needs_json else b""
        for_stream = b""
        if self._outlet and (not self._quiet or record.severity in _TROUBLE):
            for_stream = line
            if self._console:
                for_stream = self._console.record(record, time)
            elif len(line) > _SMALL:
                for_stream = self._json.record(record, seq, time, whole=False)
        self._put(b"" if self._filed else line, for_stream, 1)
        if record.event == "run-finished":
            self._filed, self._verdict = True, for_stream

    def _put(self, for_file: bytes, for_stream: bytes, count: int) -> None:
        self.lines += count
        if for_file and self._spool and not self._spool.failure:
            self._for_file.append(for_file)
        if for_stream:
            self._for_stream.append(for_stream)
            self._stream_lines += count
        self._size += len(for_file) + len(for_stream)
        if self._size > _CHUNK:
            self.flush()

    @property
    def _needs_json(self) -> bool:
        return not self._console or (self._spool is not None and not self._spool.failure)

    def _report_failure(self, spool: Spool) -> None:
        if spool.failure and not self.warnings:
            self.warnings.append(f"the log file {spool.path} is truncated: {spool.failure}")
            self._record(Record("notice", Severity.WARNING, self.warnings[0]), now())
            self.flush()


def _cell_of(item: StreamText | Record) -> tuple[int, str | None] | None:
    return (item.index, item.id) if isinstance(item, StreamText) else item.cell
