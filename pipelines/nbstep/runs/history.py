"""The runs below a folder: a listing of their records, without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from nbstep.backends.stores import store_of
from nbstep.profiles.storage import absolute
from nbstep.runs.verdict import as_it_looks
from nbstep.views.runs_table import Records
from nbstep_runner.contract import OWN_FOLDERS, RECORD, RECORD_ENDING, SPEC, RunResult, RunSpec, StorageOptions, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Stat, Store, join, redact

AT_ONCE = 32


@runtime_checkable
class KeepsRecords(Protocol):
    """A store that tells of many runs at once."""

    def records(self, uri: str) -> Iterator[RunResult]:
        """The records of the runs in a folder, newest first, as far as a list shows them."""
        ...


def history(
    runs: str | Path,
    *,
    storage: StorageOptions | None = None,
    limit: int | None = None,
    state: str | None = None,
    keep: Callable[[RunResult], bool] | None = None,
) -> list[RunResult]:
    """The records below a folder, newest first.

    A run that was submitted and has not begun is told of as ``pending``, one without a heartbeat for two leases as
    ``lost``. Objects that are no records are passed over.

    Args:
        runs: A folder, as a path or URI.
        storage: How its store is reached.
        limit: At most this many.
        state: Only those in this state.
        keep: Only those for which it is true.
    """
    prefix = join(absolute(str(runs)), "")
    store = store_of(prefix, storage or StorageOptions())
    found = store.records(prefix) if isinstance(store, KeepsRecords) else _newest_first(store, prefix)
    wanted = (record for record in found if state in (None, record.state))
    return Records(islice(wanted if keep is None else filter(keep, wanted), limit))


def _newest_first(store: Store, prefix: str) -> Iterator[RunResult]:
    stats = sorted(_of_runs(store, prefix), key=lambda stat: (stat.modified or 0.0, stat.uri), reverse=True)
    return _records(store, stats)


def _records(store: Store, stats: Sequence[Stat]) -> Iterator[RunResult]:
    """Those of the objects that hold one; read some at a time, because often the first are all that is wanted."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-list") as pool:
        for begin in range(0, len(stats), AT_ONCE):
            read = pool.map(lambda stat: read_run(store, stat.uri), stats[begin : begin + AT_ONCE])
            yield from (record for record in read if record is not None)


def read_run(store: Store, uri: str) -> RunResult | None:
    """What a record, or the spec of a run without one, tells of the run; ``None`` where it is gone or damaged."""
    with suppress(InputNotFoundError, BadInputError):
        data = store.read(uri).data
        return (
            as_it_looks(decode(data, RunResult))
            if uri.endswith(RECORD_ENDING)
            else RunResult.blank(decode(data, RunSpec), redact)
        )
    return None


def _of_runs(store: Store, prefix: str) -> Iterator[Stat]:
    """One object of each run: its record, or the spec of one that has none yet."""
    stats = {stat.uri: stat for stat in store.list(prefix) if not _within_a_run(stat.uri.removeprefix(prefix))}
    for uri, stat in stats.items():
        folder, _, name = uri.rpartition("/")
        if name.endswith(RECORD_ENDING) or (name == SPEC and f"{folder}/{RECORD}" not in stats):
            yield stat


def _within_a_run(name: str) -> bool:
    """Whether an object lies in a folder that belongs to one run: what a notebook puts there is no run."""
    return any(folder.endswith(OWN_FOLDERS) for folder in name.split("/")[:-1])
