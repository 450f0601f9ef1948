"""How the sweeps of a group stand that were started there, asked on the side: no page waits long for a place."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from nbstep.backends.protocol import Phase
from nbstep.server.folders import RunFolder
from nbstep.server.problems import Problem, as_problem
from nbstep_runner.errors import NbstepError, Retry

MOST_TOLD: Final = 3
"""How many sweeps of a group are told of."""
MOST_ASKED: Final = 16
"""How many are asked, until so many are found that go on."""
PATIENCE_SECONDS: Final = 2.0
"""How long an answer is waited for; after that it is told what was known before."""
FRESH_SECONDS: Final = 2.0
"""For so long an answer holds, unless all have ended: one of them may be started again, and is shown at once then."""
AT_ONCE: Final = 4
"""How many groups of one configured folder are asked about at once: each takes a thread while its place is silent."""
KEPT: Final = 256
"""Groups whose last answers are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A sweep that was started in a group and has runs that have not ended.

    Attributes:
        path: Below the folder of runs.
        words: How it stands, or why that is not known.
        phase: How its place sees it; ``None`` where that is not known.
        cancelled: Somebody asked for its end.
    """

    path: str
    words: str
    phase: Phase | None = None
    cancelled: bool = False

    @property
    def name(self) -> str:
        """Beside those of its runs."""
        return self.path.rpartition("/")[2]

    @property
    def goes_on(self) -> bool:
        """Whether its runs are made, or will be."""
        return self.phase in (Phase.PENDING, Phase.RUNNING)

    @property
    def over(self) -> bool:
        """Whether it has ended: none of its runs begins any more."""
        return self.phase in (Phase.ENDED, Phase.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the sweeps of a group stand that have runs that have not ended.

    Attributes:
        started: Those that a profile of the folder has started there; first what goes on, last what has ended.
        over: All that were asked about have ended.
        answered: It is what their places say now, and not what they said before.
    """

    started: tuple[Started, ...] = ()
    over: bool = False
    answered: bool = False


NOBODY: Final = Standing(over=True, answered=True)
"""Of a group without such sweeps."""


@dataclass(slots=True, eq=False)
class _Look:
    """A question about a group.

    Attributes:
        names: Of the sweeps that are asked about.
        before: What was known before.
        stale_at: When it is asked anew, by the monotonic clock; not before there is an answer.
    """

    names: tuple[str, ...]
    before: Standing
    answer: Future[Standing] = field(default_factory=Future)
    stale_at: float = math.inf

    @property
    def known(self) -> Standing:
        """The last answer: its own, or the one before."""
        answered = self.answer.done() and self.answer.exception() is None
        return self.answer.result() if answered else self.before


class Standings:
    """Asks how sweeps stand, once for all who look at their group at the same time; for threads."""

    def __init__(self) -> None:
        self._looks: OrderedDict[tuple[str, str], _Look] = OrderedDict()
        self._free: defaultdict[str, threading.Semaphore] = defaultdict(partial(threading.Semaphore, AT_ONCE))
        self._lock = threading.Lock()

    def of(self, folder: RunFolder, path: str, names: tuple[str, ...]) -> Standing:
        """How these sweeps stand.

        Args:
            folder: A configured one.
            path: Of the group, below it.
            names: Of the sweeps, the last started first.
        """
        if not names:
            return NOBODY
        look = self._look(folder, path, names[:MOST_ASKED])
        try:
            found = look.answer.result(PATIENCE_SECONDS)
        except TimeoutError:
            return look.before
        return replace(found, over=found.over and len(names) <= MOST_ASKED)

    def forget(self, folder: RunFolder, path: str) -> None:
        """Ask anew about a group next time: one of its sweeps was asked to end."""
        with self._lock:
            self._looks.pop((folder.name, path), None)

    def _look(self, folder: RunFolder, path: str, names: tuple[str, ...]) -> _Look:
        """The question that is under way or still holds, or else a new one."""
        key = (folder.name, path)
        with self._lock:
            last = self._looks.get(key)
            if last is not None and last.names == names and time.monotonic() < last.stale_at:
                return last
            before = replace(last.known, over=False, answered=False) if last else Standing()
            look = _Look(names, before)
            if not self._free[folder.name].acquire(blocking=False):
                look.answer.set_result(before)
                return look
            self._looks[key] = look
            self._looks.move_to_end(key)
            while len(self._looks) > KEPT:
                self._looks.popitem(last=False)
        ask = partial(self._ask, folder, path, look)
        try:
            threading.Thread(target=ask, name="nbstep-standing", daemon=True).start()
        except RuntimeError:  # the limit of processes leaves no room for a thread
            ask()
        return look

    def _ask(self, folder: RunFolder, path: str, look: _Look) -> None:
        try:
            try:
                found = _standing(folder, path, look.names)
            finally:
                self._free[folder.name].release()
        except Exception as error:  # noqa: BLE001 - whoever looks has to learn of it, whatever it is
            look.stale_at = 0.0
            look.answer.set_exception(error)
        else:
            look.stale_at = time.monotonic() + (0.0 if found.over else FRESH_SECONDS)
            look.answer.set_result(found)


def _standing(folder: RunFolder, path: str, names: tuple[str, ...]) -> Standing:
    found = list(_found(folder, path, names))
    told = sorted((each for each in found if each is not None), key=lambda each: (not each.goes_on, each.over))
    over = all(each is not None and each.over for each in found)
    return Standing(started=tuple(told[:MOST_TOLD]), over=over, answered=True)


def _found(folder: RunFolder, path: str, names: tuple[str, ...]) -> Iterator[Started | None]:
    """Each sweep in turn, ``None`` for one that no profile of the folder started, until enough are found that go on.

    Where a place does not answer, no other is asked: each would be waited for as long.
    """
    going_on = 0
    for name in names:
        try:
            started = _told(folder, f"{path}/{name}")
        except (Problem, NbstepError) as error:
            yield Started(path=f"{path}/{name}", words=as_problem(error).detail)
            if isinstance(error, NbstepError) and error.retry is Retry.ALWAYS:
                return
            continue
        yield started
        going_on += started is not None and started.goes_on
        if going_on == MOST_TOLD:
            return


def _told(folder: RunFolder, path: str) -> Started | None:
    """What the place of a sweep says of it."""
    sweep = folder.sweep(path)
    if sweep is None:
        return None
    status = sweep.backend.statuses([sweep.handle])[sweep.handle]
    asked = ["it was asked to end"] if status.cancelled else []
    words = "; ".join([*asked, status.words, *status.problems])
    if status.phase in (Phase.ENDED, Phase.GONE):
        words = "it has ended: what has not begun is made once it is started again"
    return Started(path=path, words=words, phase=status.phase, cancelled=status.cancelled)
