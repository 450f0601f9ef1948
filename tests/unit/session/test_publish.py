"""What a stopped run publishes in the time it has left: nothing that it can do without takes all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import InternalError, OutputConflictError, StorageUnavailableError, TerminatedError
from nbstep_runner.session import publish
from nbstep_runner.session.places import Places
from nbstep_runner.session.publish import Publisher
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.supervisor import Supervisor
from nbstep_runner.testing import FaultyStore

PLACES = Places.of(RunSpec(run_id="r", input_uri="in.ipynb", output_uri="memory://runs/out.ipynb"))
GRACE = 2.0


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    stopped = Supervisor(GRACE)
    stopped.abort(TerminatedError("the run was stopped"))
    yield stopped
    stopped.close()


@pytest.fixture
def held() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def publisher(supervisor: Supervisor, store: Any) -> Publisher:
    return Publisher(PLACES, lambda _: store, supervisor)


def test_a_page_that_takes_long_leaves_time_for_log_and_record(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor, held: threading.Event, tmp_path: Path
) -> None:
    monkeypatch.setattr(publish, "render_html", lambda *_: held.wait(30) and b"late")
    store = MemoryStore(MemorySpace())
    publishes = publisher(supervisor, store)
    with pytest.raises(StorageUnavailableError, match="rendering the page did not end within its share"):
        publishes.html(b"{}")
    assert supervisor.seconds_left > GRACE / 2
    (tmp_path / "log").write_bytes(b"{}\n")
    publishes.end_log(publishes.begin_log(tmp_path / "log"))
    assert store.read(PLACES.log).data == b"{}\n"
    held.set()
    time.sleep(0.05)
    assert store.stat(PLACES.html) is None, "the page came after all, though the record says that there is none"


@pytest.mark.parametrize("companion", ["log", "remove_partial"])
def test_a_store_that_hangs_on_a_companion_leaves_time_for_what_follows(
    supervisor: Supervisor, held: threading.Event, tmp_path: Path, companion: str
) -> None:
    (tmp_path / "log").write_bytes(b"{}\n")
    store = FaultyStore(MemoryStore(MemorySpace()), sleep=lambda _: held.wait(30))
    publishes = publisher(supervisor, store)
    with pytest.raises(StorageUnavailableError, match="its share of the grace period"):
        publishes.end_log(publishes.begin_log(tmp_path / "log")) if companion == "log" else publishes.remove_partial()
    assert supervisor.seconds_left > GRACE / 4


def test_without_a_stop_a_page_takes_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(_: bytes, title: str) -> bytes:
        time.sleep(0.2)
        return title.encode()

    monkeypatch.setattr(publish, "render_html", render)
    store, going_on = MemoryStore(MemorySpace()), Supervisor(0.1)
    publisher(going_on, store).html(b"{}")
    going_on.close()
    assert store.read(PLACES.html).data == b"out"


def test_a_fault_of_the_renderer_is_told_with_what_was_being_done(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor
) -> None:
    def render(*_: Any) -> bytes:
        raise KeyError("cells")

    monkeypatch.setattr(publish, "render_html", render)
    with pytest.raises(InternalError, match="KeyError") as caught:
        publisher(supervisor, MemoryStore(MemorySpace())).html(b"{}")
    assert caught.value.context == "rendering the page"


def test_a_record_that_another_run_has_written_since_is_left_alone(supervisor: Supervisor) -> None:
    store = MemoryStore(MemorySpace())
    version = store.write(PLACES.record, b"the earlier one")
    store.write(PLACES.record, b"another run's")
    with pytest.raises(OutputConflictError):
        publisher(supervisor, store).remove_record(version)
    assert store.read(PLACES.record).data == b"another run's"
