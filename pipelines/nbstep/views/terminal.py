"""The view of a run for a person at a terminal: what it prints goes by, what runs stays at the bottom.

A thread of its own draws, so that whoever feeds the view never waits for the terminal.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from textwrap import wrap
from time import monotonic
from types import TracebackType
from typing import Self

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.style import Style
from rich.table import Table
from rich.text import Text

from nbstep.views.links import link_to
from nbstep.views.log_lines import LogLine
from nbstep.views.progress import LineKind, RunProgress, Shown, numbered, shortened
from nbstep.views.text import visible_line
from nbstep_runner.page import duration

MAX_WAITING = 20_000
"""Printed lines that may wait to be drawn; a terminal takes fewer than a run can print."""

_DRAWN_EACH = 0.1
_PENDING_SHOWN = 3

_DRAWN = {
    LineKind.HEADING: ("▸ ", "> ", "bold", "bold"),
    LineKind.PRINTED: ("  │ ", "  | ", "dim", ""),
    LineKind.PRINTED_STDERR: ("  │ ", "  | ", "yellow", ""),
    LineKind.ERROR_OUTPUT: ("  │ ", "  | ", "red", "red"),
    LineKind.SUCCEEDED: ("✓ ", "+ ", "green", ""),
    LineKind.FAILED: ("✗ ", "x ", "bold red", "bold"),
    LineKind.PASSED_OVER: ("- ", "- ", "dim", "dim"),
    LineKind.NOTICE: ("· ", "- ", "dim", "dim"),
    LineKind.WARNING: ("! ", "! ", "bold yellow", "yellow"),
    LineKind.PLACE: ("  ", "  ", "", ""),
}
"""Each kind's mark, its mark in ASCII, the mark's style and the text's."""

_PRINTED = {LineKind.PRINTED, LineKind.PRINTED_STDERR, LineKind.ERROR_OUTPUT}
"""What a cell puts out: lines that are too wide go on behind a mark of their own."""

_GUTTER = 4
_SENTENCES = {LineKind.SUCCEEDED, LineKind.FAILED, LineKind.NOTICE, LineKind.WARNING, LineKind.PLACE}
"""What we say ourselves: it is broken between words, unless it is a link, which has to be copied whole."""

_INDENT = "  "


class RunView:
    """Shows a run as its JSON log comes in.

    Feed it each line of the log, then close it; or use it as a context manager. What it is fed is shown as it is:
    nothing in it is read as markup.

    Args:
        console: Where to draw; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._progress = RunProgress(since=monotonic())
        self._waiting: list[Shown] = []
        self._passed_over = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._exit_code: int | None = None
        self._left = False
        ascii_only = self._console.options.ascii_only
        self._spinner = Spinner("line" if ascii_only else "dots")
        self._overflow: OverflowMethod = "crop" if ascii_only else "ellipsis"
        self._thread = threading.Thread(target=self._draw, name="nbstep-progress", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is KeyboardInterrupt:
            self.leave()
        else:
            self.close()

    def leave(self) -> None:
        """Stop showing a run that goes on: no summary, for there is no verdict."""
        self._left = True
        self.close()

    def feed(self, line: bytes) -> None:
        """Take one line of the runner's JSON log; any other line is shown as it is. Never blocks."""
        with self._lock:
            for shown in self._progress.apply(line, monotonic()):
                if len(self._waiting) < MAX_WAITING or shown.kind not in {LineKind.PRINTED, LineKind.PRINTED_STDERR}:
                    self._waiting.append(shown)
                else:
                    self._passed_over += 1

    def close(self, timeout: float = 5.0, *, exit_code: int | None = None) -> None:
        """Draw what is left and the summary, for at most ``timeout`` seconds.

        Args:
            timeout: A terminal that is stopped is not waited for any longer.
            exit_code: What the runner ended with, should its log not tell.
        """
        if not self._closing.is_set():
            self._exit_code = exit_code
            self._closing.set()
        self._thread.join(timeout)

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal is gone: nobody is left to see anything
            self._draw_until_closed()

    def _draw_until_closed(self) -> None:
        with Live(
            console=self._console,
            get_renderable=self._bottom,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live:
            while not self._closing.wait(_DRAWN_EACH):
                self._draw_waiting()
                live.refresh()
            with self._lock:
                self._waiting += self._progress.finish()
            self._draw_waiting()
        if not self._left:
            self._print(self._summary())

    def _draw_waiting(self) -> None:
        with self._lock:
            shown, self._waiting = self._waiting, []
            passed_over, self._passed_over = self._passed_over, 0
        if passed_over:
            shown.append(Shown(LineKind.WARNING, f"{passed_over} lines are not shown here; the log has them"))
        if shown:
            self._print(_Lines(shown))

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, no_wrap=True, overflow="ignore", crop=False, highlight=False, soft_wrap=True)

    def _bottom(self) -> RenderableType:
        """What runs, what it has not finished printing, and how far the run is."""
        now = monotonic()
        with self._lock:
            progress = self._progress
            running, pending = progress.running, progress.pending[-_PENDING_SHOWN:]
            doing = _doing(progress)
            done = f"{progress.ended_cells} of {progress.code_cells} cells, " if progress.code_cells else ""
            since = progress.since
        cell = f"{duration(now - running.since)}, " if running else ""
        self._spinner.update(text=self._one_line(doing))
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(ratio=1, no_wrap=True, overflow=self._overflow)
        line.add_column(justify="right", no_wrap=True)
        line.add_row(self._spinner, Text(f"{cell}{done}{duration(now - since)}", style="dim"))
        return Group(*(self._one_line(f"  {text}".expandtabs(), style="dim") for text in pending), line)

    def _one_line(self, text: str, style: str = "") -> Text:
        return Text(_drawable(text, self._console.encoding), style=style, no_wrap=True, overflow=self._overflow)

    def _summary(self) -> RenderableType:
        """The failing cell with its traceback, the verdict, and where everything is."""
        verdict, error = self._progress.verdict, self._progress.verdict and self._progress.verdict.error
        lines = []
        if error and error.cell_index is not None:
            traceback = self._progress.tracebacks.get(error.cell_index, ())
            failed = self._progress.failed
            if traceback and failed:
                lines.append(Shown(LineKind.HEADING, f"{numbered(failed)} {shortened(failed.title)}"))
            lines += [Shown(LineKind.ERROR_OUTPUT, text) for text in traceback]
        lines.append(_verdict(verdict, self._exit_code))
        if error and error.hint:
            lines.append(Shown(LineKind.PLACE, error.hint))
        for name, place in _places(verdict):
            lines.append(Shown(LineKind.PLACE, f"{name:9}{place}", link=link_to(place)))
        return _Lines(lines)


class _Lines:
    """Lines for good, drawn without the markup, wrapping and measuring that make rich slow on many."""

    def __init__(self, lines: Iterable[Shown]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            mark, ascii_mark, mark_style, style = _DRAWN[line.kind]
            begin = Segment(ascii_mark if options.ascii_only else mark, Style.parse(mark_style))
            shape = Style.parse(style) + Style(link=line.link)
            text = _drawable(line.text.expandtabs(), options.encoding)
            if line.kind in _PRINTED and cell_len(text) > options.max_width - _GUTTER:
                pieces, behind = chop_cells(text, max(options.max_width - _GUTTER, 1)), begin
            elif line.kind in _SENTENCES and not line.link and cell_len(text) > options.max_width - len(_INDENT):
                width = max(options.max_width - len(_INDENT), 1)
                pieces = wrap(text, width, break_long_words=False, break_on_hyphens=False) or [text]
                behind = Segment(_INDENT)
            else:
                pieces, behind = [text], begin
            for piece in pieces[:-1]:
                yield from (begin, Segment(piece, shape), Segment.line())
                begin = behind
            yield from (begin, Segment(pieces[-1], shape))
            if line.seconds is not None:
                yield Segment(f"  {duration(line.seconds, 2)}", Style.parse("dim"))
            yield Segment.line()


def _doing(progress: RunProgress) -> str:
    if progress.running:
        return f"[*] {progress.running.title}"
    if progress.verdict or progress.code_cells <= progress.ended_cells > 0:
        return "storing what came of it"
    return "between cells" if progress.ended_cells else "preparing"


def _verdict(verdict: LogLine | None, exit_code: int | None) -> Shown:
    if verdict is None:
        code = "" if exit_code is None else f" (exit code {exit_code})"
        return Shown(LineKind.FAILED, f"the runner ended without a verdict{code}")
    if exit_code not in {None, verdict.exit_code}:
        return Shown(LineKind.FAILED, f"{verdict.message}; but the runner ended with exit code {exit_code}")
    kind = {"succeeded": LineKind.SUCCEEDED, "cancelled": LineKind.WARNING}.get(verdict.state, LineKind.FAILED)
    return Shown(kind, verdict.message)


def _places(verdict: LogLine | None) -> Iterator[tuple[str, str]]:
    if verdict:
        output = verdict.output_uri if verdict.output_version else None  # without a version nothing was written there
        places = (("notebook", output), ("page", verdict.html_uri), ("log", verdict.log_uri))
        yield from ((name, place) for name, place in places if place)


def _drawable(text: str, encoding: str) -> str:
    """The text as a terminal can take it: what would control it, or is not in its encoding, is written as escapes."""
    text = visible_line(text)
    return text if encoding.startswith("utf") else text.encode(encoding, "backslashreplace").decode(encoding)
