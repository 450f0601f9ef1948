"""The state that a run keeps: restored before its first cell, saved while it runs and when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final

from nbstep_runner.contract import STATE, Continuation, RunResult, RunSpec, Severity
from nbstep_runner.errors import BadInputError, NbstepError
from nbstep_runner.session.earlier import answers
from nbstep_runner.session.ledger import Ledger
from nbstep_runner.state.desk import Desk
from nbstep_runner.state.generations import Generation, Shelf
from nbstep_runner.state.restoring import Restored, restore
from nbstep_runner.state.saving import Saver
from nbstep_runner.stores import Store, join, sibling
from nbstep_runner.supervisor import Supervisor, begin

SHARE: Final = 0.5
"""Of what is left of a stopped run's grace period: the next attempt needs the state more than the notebook so far."""


def state_of(output_uri: str) -> str:
    """The folder of a run's state, beside its output."""
    return join(sibling(output_uri, STATE), "")


class KeptState:
    """One run's state.

    Args:
        spec: What was asked for.
        token: The run's.
        open_store: Finds the store of a URI.
        supervisor: Tells of a stop.
        ledger: The run's record in the making.
        confirm: Raises where another attempt has the output by now.

    Raises:
        StorageUnavailableError: No temporary folder can be written.
    """

    def __init__(
        self,
        spec: RunSpec,
        token: str,
        open_store: Callable[[str], Store],
        supervisor: Supervisor,
        ledger: Ledger,
        confirm: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._desk = Desk(token)
        self._open_store = open_store
        self._supervisor = supervisor
        self._ledger = ledger
        self._confirm = confirm
        self._saver: Saver | None = None
        self._warnings: dict[str, None] = {}
        self._due = threading.Event()
        self._checkpoint_due = False
        self._last: Future[bool] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What the kernel finds in its environment."""
        return self._desk.variables

    def restore(self, content: str, earlier: RunResult | None) -> None:
        """Fill the folder, and take requests to save it from now on.

        Args:
            content: Names the notebook and its parameters.
            earlier: The record that was at the output's place.

        Raises:
            NbstepError: What is stored cannot be read, or the folder not be filled; the run does not begin without it.
        """
        fill = partial(self._fill, content, earlier)
        shelf, own, found = self._supervisor.call(fill, doing="restoring the state")
        self._tell(found, own, content)
        template = Generation(
            number=0,
            run_id=self._spec.run_id,
            attempt=self._spec.attempt,
            content=content,
            saved_at="",
            files=(),
            folders=(),
            forced=self._spec.force,
        )
        self._saver = Saver(
            shelf,
            self._desk.folder,
            template,
            restored=own,
            spared=found.unwanted,
            largest=self._spec.limits.state_bytes,
            confirm=self._confirm,
            warn=self._warn,
        )
        threading.Thread(target=self._work, args=(self._saver,), name="nbstep-state-due", daemon=True).start()
        self._desk.open(self._save_on_demand, restored=found.generation is not None)

    def _tell(self, found: Restored, own: Generation | None, content: str) -> None:
        """Say in record and log what the run goes on from, or why it begins anew."""
        generation = found.generation
        if generation is not None:
            self._ledger.change(
                state_generation=own.number if own else None,
                continued_from=Continuation(
                    generation=generation.number,
                    run_id=generation.run_id,
                    attempt=generation.attempt,
                    saved_at=generation.saved_at,
                ),
            )
            self._ledger.say(
                f"this run goes on from generation {generation.number} of the state, saved by attempt "
                f"{generation.attempt} of {generation.run_id}: {len(generation.files)} files, {generation.size} bytes"
            )
        elif found.unwanted is not None and not self._spec.force:
            other = found.unwanted.content != content
            why = "is of another notebook or other parameters" if other else "is of a run that has ended"
            self._ledger.say(
                f"generation {found.unwanted.number} of the state {why}: this run begins anew; "
                "--resume goes on from it",
                Severity.WARNING if other else Severity.INFO,
            )

    def offer(self) -> None:
        """A checkpoint is due: save in the background, unless a save for an earlier one has not begun yet."""
        self._checkpoint_due = True
        self._due.set()

    def finish(self, *, at_once: bool) -> None:
        """Save at the end, however the run ended; ``at_once`` only begins, and :meth:`close` waits."""
        if self._saver is None:
            return
        self._last = begin(self._save, "saving the state")
        if not at_once:
            self._await_last()

    def close(self) -> None:
        """Write into the record what was saved and what was not, and remove the folder."""
        if self._last is not None:
            self._await_last()
        if self._saver is not None:
            if self._supervisor.stop is None:
                _tidy(self._saver)
            self._saver.close()
            newest = self._saver.newest
            self._ledger.change(
                state_generation=newest.number if newest else None,
                warnings=tuple(dict.fromkeys((*self._ledger.result.warnings, *self._warnings))),
            )
            self._saver = None
            self._due.set()
        self._desk.close()

    def _await_last(self) -> None:
        """A save that fails is told where it fails; here only one that does not end in time."""
        last, self._last = self._last, None
        if last is not None:
            try:
                self._supervisor.wait(last, doing="saving the state", despite_stop=True, share=SHARE)
            except NbstepError as error:
                self._warn(error.message)

    def _fill(self, content: str, earlier: RunResult | None) -> tuple[Shelf, Generation | None, Restored]:
        """What the run's own state is kept by, what of it was taken, and what was taken at all."""
        shelf = self._shelf(self._spec.output_uri)
        over = earlier is not None and answers(earlier, earlier.spec_digest)
        retried = earlier is not None and earlier.run_id == self._spec.run_id

        def wanted(generation: Generation) -> bool:
            if self._spec.resume:
                return True
            if self._spec.force and not (retried and generation.forced and generation.run_id == self._spec.run_id):
                return False
            return generation.content == content and not over

        found = self._filled_from(shelf, wanted)
        own = found.generation
        if found.generation is None and self._spec.state_from and not self._spec.force:
            found = self._filled_from(self._shelf(self._spec.state_from), lambda _: True)
            if found.generation is None:
                raise BadInputError(
                    f"there is no state of {self._spec.state_from} to go on from",
                    hint="Start the run without it, to begin anew.",
                )
        return shelf, own, found

    def _shelf(self, output_uri: str) -> Shelf:
        root = state_of(output_uri)
        shelf = Shelf(self._open_store(root), root)
        shelf.look()
        return shelf

    def _filled_from(self, shelf: Shelf, wanted: Callable[[Generation], bool]) -> Restored:
        largest = self._spec.limits.state_bytes
        return restore(shelf, self._desk.folder, wanted=wanted, largest=largest, warn=self._warn)

    def _work(self, saver: Saver) -> None:
        """In a thread of its own: save when a checkpoint is due, and remove what is older after each save."""
        while self._saver is saver:
            self._due.wait()
            self._due.clear()
            if self._checkpoint_due:
                self._checkpoint_due = False
                self._save()
            _tidy(saver)

    def _save_on_demand(self) -> bool:
        saved = self._save()
        self._due.set()
        return saved

    def _save(self) -> bool:
        """Save now; whether it is stored. A failure never ends a run."""
        saver = self._saver
        if saver is None:
            return False
        try:
            saver.save()
        except NbstepError as error:
            self._warn(f"the state was not saved: {error.message}")
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the next save may succeed
            self._warn(f"the state was not saved: {type(error).__name__}: {error}")
        else:
            return True
        return False

    def _warn(self, message: str) -> None:
        """From any thread: the log is told at once, the record at the end."""
        if message not in self._warnings:
            self._warnings[message] = None
            self._ledger.say(message, Severity.WARNING)


def _tidy(saver: Saver) -> None:
    """Remove what is older; what cannot be removed now is removed after the next save."""
    with suppress(Exception):  # whatever a store's library raises, a run that has its newest state has lost nothing
        saver.tidy()
