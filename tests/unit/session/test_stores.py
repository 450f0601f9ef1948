"""The stores of a process that makes one run after another."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from nbstep_runner.contract import StorageOptions
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.stores.local import LocalStore


def ignored(_line: str) -> None:
    """Take no note of a retry."""


def test_what_one_run_could_not_verify_is_not_said_of_the_next(tmp_path: Path) -> None:
    stores, uri = StoreSource(StorageOptions()), str(tmp_path / "out.ipynb")
    with stores.lent(ignored):
        first = stores(uri)
        assert isinstance(first, LocalStore)
    with stores.lent(ignored):
        assert stores(uri) is first
        first.verified = False
        assert not stores(uri).verified
    with stores.lent(ignored):
        assert stores(uri).verified


class Run:
    """Hears of retries while it is under way."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, line: str) -> None:
        self.told.append(line)


def test_a_retry_is_told_to_the_run_under_way_which_is_let_go_at_its_end() -> None:
    stores, run = StoreSource(StorageOptions()), Run()
    with stores.lent(run.tell):
        stores._tell("again")
    stores._tell("a thread in the background tries once more")
    assert run.told == ["again"]
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None
