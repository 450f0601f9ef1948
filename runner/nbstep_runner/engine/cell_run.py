"""One cell, from its request to its end, whatever that end is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.contract import CellState
from nbstep_runner.engine import cells, metadata
from nbstep_runner.engine.recorder import Recorder
from nbstep_runner.engine.watches import Escalation, LostReply, StallWatch
from nbstep_runner.errors import TimedOutError
from nbstep_runner.kernel.kernel import Kernel, Received
from nbstep_runner.supervisor import Supervisor

IDLE_SECONDS: Final = 5.0
"""How long after its reply a cell may be silent and not yet ``idle``; a kernel that never says so is not waited for."""
GONE_SECONDS: Final = 5.0
"""How long a killed kernel may take to vanish; one that cannot be killed is given up, to be found by the sweep."""
INTERRUPT_SECONDS: Final = 5.0
TERM_SECONDS: Final = 2.0
STOP_SHARE: Final = 0.4
"""Of the grace period, what an interrupted cell has for its own cleanup; saving and publishing need the rest."""

Tick = Callable[[float], float | None]
"""Does what is due at a moment of the monotonic clock, and says when to come again."""


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """How a cell ended.

    Attributes:
        reply: The content of the kernel's ``execute_reply``; ``None`` where it never came, even of a kernel that lives.
        cut: What the run did to end it, if it did.
        died: The kernel is gone.
        seconds: Wall time.
    """

    reply: dict[str, Any] | None
    cut: Escalation | None
    died: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellContext:
    """What the cells of one run share.

    Attributes:
        cell_seconds: The deadline of cells that have none of their own.
        short_notice: After a signal the cell is left as it stands.
        run_deadline: When the run has to end, by the monotonic clock.
    """

    kernel: Kernel
    recorder: Recorder
    supervisor: Supervisor
    stall: StallWatch
    tick: Tick
    cell_seconds: float | None
    run_deadline: float | None
    short_notice: bool


class CellRun:
    """Sends one cell and listens until it has ended, or has been ended."""

    def __init__(self, around: CellContext, index: int, cell: dict[str, Any]) -> None:
        self._around = around
        self._kernel = around.kernel
        self._index = index
        self._cell = cell
        self._started = time.monotonic()
        self._own_seconds = cells.timeout_of(cell) or around.cell_seconds
        self._request_id = ""
        self._reply: dict[str, Any] | None = None
        self._idle = False
        self._idle_by: float | None = None
        self._gone_by: float | None = None
        self._died = False
        self._cut: Escalation | None = None

    def run(self) -> CellOutcome:
        """Run the cell to its end; in bounded time once a deadline passes or a signal comes."""
        self._request_id = self._kernel.request(
            "execute_request",
            {
                "code": cells.source_of(self._cell),
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
            {"cellId": self._cell.get("id")},
        )
        self._lost = LostReply(self._kernel, self._request_id)
        self._around.recorder.begin(self._index, self._request_id)
        self._around.stall.begin()
        while not self._ended(now := time.monotonic()):
            self._take(self._kernel.wait(self._seconds_to_wait(now)))
        return CellOutcome(self._reply, self._cut, self._died, time.monotonic() - self._started)

    def _ended(self, now: float) -> bool:
        if self._died or (self._reply is not None and self._idle):
            return True
        if self._reply is None and self._lost.is_certain:
            return True
        overdue = (self._idle_by, self._gone_by)
        return any(moment is not None and now >= moment for moment in overdue)

    def _seconds_to_wait(self, now: float) -> float | None:
        """Do what is due now; until when nothing more is."""
        tick_at = self._around.tick(now)
        self._watch(now)
        cut_at = self._cut.next_at if self._cut else None
        lost_at = self._lost.next_at if self._reply is None else None
        ends_at = (cut_at, lost_at, self._idle_by, self._gone_by)
        moments = (tick_at, *ends_at, self._around.stall.next_at, *self._deadlines())
        return max(0.0, min(known) - now) if (known := [each for each in moments if each is not None]) else None

    def _deadlines(self) -> tuple[float | None, float | None]:
        if self._cut is not None:
            return None, None
        own = None if self._own_seconds is None else self._started + self._own_seconds
        return own, self._around.run_deadline

    def _watch(self, now: float) -> None:
        if self._cut is not None:
            self._cut.advance(now)
            if self._cut.next_at is None and self._gone_by is None:
                self._gone_by = now + GONE_SECONDS
            return
        own, whole = self._deadlines()
        if own is not None and now >= own:
            self._cut_short(f"the cell's deadline of {self._own_seconds:g} s passed")
        elif whole is not None and now >= whole:
            self._cut_short("the run's deadline passed")
        elif self._around.stall.stalled(now):
            self._cut_short("the kernel gave no sign of life for too long")

    def _cut_short(self, why: str) -> None:
        self._cut = Escalation(
            self._kernel,
            TimedOutError(why),
            CellState.TIMED_OUT,
            patience=INTERRUPT_SECONDS,
            term_patience=TERM_SECONDS,
        )
        self._cut.advance(time.monotonic())

    def _stop(self) -> None:
        """A signal came: end the cell within its share of the grace period; at short notice, leave it as it stands."""
        self._around.supervisor.attend()
        stop = self._around.supervisor.stop
        if stop is None or self._cut is not None:
            return
        left = self._around.supervisor.seconds_left
        self._cut = Escalation(
            self._kernel,
            stop.error,
            CellState.INTERRUPTED,
            patience=left * STOP_SHARE,
            term_patience=min(TERM_SECONDS, left * STOP_SHARE / 4),
        )
        if self._around.short_notice:
            self._gone_by = time.monotonic()

    def _note_status(self, state: str | None) -> None:
        self._idle = state == "idle"
        if state == "busy" and self._cut is not None:
            self._kernel.interrupt()  # the one before came while the kernel was not yet listening for it

    def _take(self, heard: Received) -> None:
        self._lost.take(heard)
        for message in heard.iopub:
            self._around.recorder.handle(message)
            if message.type == "status" and message.parent_id == self._request_id:
                self._note_status(message.content.get("execution_state"))
        for message in heard.shell:
            if message.type == "execute_reply" and message.parent_id == self._request_id:
                self._reply = message.content
                self._idle_by = time.monotonic() + IDLE_SECONDS
                metadata.note_time(self._cell, "shell.execute_reply", message.date)
        if heard.iopub and self._reply is not None:
            self._idle_by = time.monotonic() + IDLE_SECONDS  # there may be much that had waited to be read
        self._died = self._died or heard.died
        if heard.woken:
            self._stop()
