"""The partial notebook in storage: the newest state, and failures that are told of and end nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import Event, Notice, Severity
from nbstep_runner.engine.document import Document, Snapshot
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.sinks.checkpoint import Checkpointer
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.testing import Fault, FaultyStore

URI = "memory://runs/out.partial.ipynb"


def snapshot(title: str, folder: Path) -> Snapshot:
    notebook: dict[str, Any] = {"cells": [], "metadata": {"title": title}, "nbformat": 4, "nbformat_minor": 5}
    return Document(notebook, folder).snapshot()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_snapshot_that_waits_gives_way_to_a_newer_one(tmp_path: Path) -> None:
    going_on, held = threading.Event(), threading.Event()

    def hold(_: float) -> None:
        held.set()
        going_on.wait(60)

    store = FaultyStore(MemoryStore(MemorySpace()), sleep=hold)
    checkpoints = Checkpointer(store, URI, tmp_path, lambda _: None)
    assert not checkpoints.tried
    checkpoints.offer(snapshot("first", tmp_path))
    held.wait(60)
    for title in ("second", "third"):
        checkpoints.offer(snapshot(title, tmp_path))
    going_on.set()
    until(lambda: len(store.calls) == 2)
    checkpoints.close(5)
    assert b"third" in store.read(URI).data
    assert (checkpoints.tried, checkpoints.warnings) == (True, ())


def test_no_thread_is_needed_once_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(MemorySpace())
    checkpoints = Checkpointer(store, URI, tmp_path, lambda _: None)
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("the limit of processes is reached"))
    checkpoints.offer(snapshot("first", tmp_path))
    until(lambda: store.stat(URI))
    checkpoints.close(5)
    assert b"first" in store.read(URI).data


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageUnavailableError("the bucket does not answer"), "the bucket does not answer"),
        (ValueError("https://user:hunter2@host/x is odd"), "ValueError: https://***@host/x is odd"),
    ],
)
def test_a_failure_is_told_once_and_the_next_snapshot_is_written(tmp_path: Path, error: Exception, reason: str) -> None:
    told: list[Event] = []
    store = FaultyStore(MemoryStore(MemorySpace()), [Fault(operation="write", error=error, times=2)])
    checkpoints = Checkpointer(store, URI, tmp_path, told.append)
    for count, title in enumerate(("first", "second", "third"), start=1):
        checkpoints.offer(snapshot(title, tmp_path))
        until(lambda count=count: len(store.calls) == count)  # type: ignore[misc]  # the count of this turn
    checkpoints.close(5)
    assert b"third" in store.read(URI).data
    warning = f"a checkpoint could not be written: {reason}; the run goes on"
    assert checkpoints.warnings == (warning,)
    assert told == [Notice(message=warning, severity=Severity.WARNING, fields={"uri": URI})]


def test_a_write_that_outlasts_the_run_is_told_before_the_record_is_written(tmp_path: Path) -> None:
    told: list[Event] = []
    going_on, held = threading.Event(), threading.Event()

    def hold(_: float) -> None:
        held.set()
        going_on.wait(60)

    late = StorageUnavailableError("too late to tell")
    store = FaultyStore(MemoryStore(MemorySpace()), [Fault(operation="write", error=late)], sleep=hold)
    checkpoints = Checkpointer(store, URI, tmp_path, told.append)
    checkpoints.offer(snapshot("slow", tmp_path))
    held.wait(60)
    began = time.monotonic()
    checkpoints.close(0.1)
    assert time.monotonic() - began < 30
    warning = f"a checkpoint was still being written at the end: {URI} may be left"
    assert checkpoints.warnings == (warning,)
    going_on.set()
    until(lambda: not checkpoints._thread or not checkpoints._thread.is_alive())
    assert checkpoints.warnings == (warning,)
    assert told == [Notice(message=warning, severity=Severity.WARNING, fields={"uri": URI})]
