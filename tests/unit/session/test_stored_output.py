"""The end of a run at its output's place: who may publish, in what order, and in how much of the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import RunResult, RunSpec, RunState, SweepTurn, decode
from nbstep_runner.errors import (
    BadInputError,
    NbstepError,
    OutputConflictError,
    StorageUnavailableError,
    TerminatedError,
)
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.page import Page, PageRenderer
from nbstep_runner.session import run_page, stored_output
from nbstep_runner.session.earlier import NO_RECORD, look_at_output
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.session.stored_output import StoredOutput
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.stores import ABSENT, Blob, Source
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.supervisor import Supervisor
from nbstep_runner.testing import Fault, FaultyStore

OUTPUT = "memory://runs/out.ipynb"
RECORD = "memory://runs/out.result.json"
LOG = "memory://runs/out.log.jsonl"
PAGE = "memory://runs/out.html"
GRACE = 2.0


class Held:
    """A run that has claimed its output."""

    def __init__(self, store: Any = None, turn: SweepTurn | None = None, **fields: Any) -> None:
        self.spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=OUTPUT, **fields)
        self.store = store or MemoryStore(MemorySpace())
        self.supervisor = Supervisor(GRACE)
        self.ledger = Ledger(self.spec, None, LogSettings(stream=None, format=LogFormat.JSON))
        self.output = StoredOutput(self.spec, lambda _: self.store, self.supervisor, self.ledger, turn)
        self.output.await_turn(look_at_output(self.output.places, lambda _: self.store))
        if not self.spec.prepare_only:
            self.output.claim()

    def stop(self) -> None:
        """As by a signal."""
        self.supervisor.abort(TerminatedError("the run was stopped"))

    def succeed(self) -> None:
        """The cells have ended."""
        self.ledger.change(state=RunState.SUCCEEDED, exit_code=0)

    def stored(self) -> RunResult:
        """The record in the store."""
        return decode(self.store.read(RECORD).data, RunResult)

    def close(self) -> None:
        """Let go of threads and descriptors."""
        self.ledger.close()
        self.supervisor.close()


@pytest.fixture
def held() -> Iterator[Held]:
    run = Held()
    yield run
    run.close()


@pytest.fixture
def patience() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def replace_by_another(store: MemoryStore, text: bytes = b"another run's") -> None:
    store.write(RECORD, text)


def test_the_notebook_is_published_before_the_record(held: Held) -> None:
    held.succeed()
    held.output.publish(b"{}", checkpointed=False)
    assert held.stored().state is RunState.RUNNING
    held.output.commit()
    record = held.stored()
    assert (record.state, record.claim) == (RunState.SUCCEEDED, None)
    assert record.output_version == held.store.stat(OUTPUT).version  # type: ignore[union-attr]  # it is there
    assert record.output_checksum is not None


@pytest.mark.fault(67)
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_claim_that_was_lost_publishes_nothing(held: Held, tmp_path: Path, how: str) -> None:
    held.succeed()
    if how == "removed":
        held.store.delete(RECORD)
    else:
        replace_by_another(held.store)
    before = {each.uri: each.version for each in held.store.list("memory://runs/")}
    with pytest.raises(OutputConflictError, match="removed while it ran"):
        held.output.publish(b"{}", checkpointed=True)
    held.output.commit()
    (tmp_path / "log").write_bytes(b"{}\n")
    held.output.store_log(tmp_path / "log")
    held.output.complete()
    assert {each.uri: each.version for each in held.store.list("memory://runs/")} == before


@pytest.mark.fault(67)
@pytest.mark.parametrize("at_once", [False, True])
def test_a_claim_that_is_lost_at_the_commit_withdraws_what_was_published(
    monkeypatch: pytest.MonkeyPatch, at_once: bool, tmp_path: Path
) -> None:
    monkeypatch.setattr(PageRenderer, "render", lambda *_: Page(b"<html>", ()))
    held = Held(html=True)
    held.succeed()
    held.output.publish(b"{}", checkpointed=False, at_once=at_once)
    assert {each.uri for each in held.store.list("memory://runs/")} == ({RECORD} if at_once else {RECORD, OUTPUT, PAGE})
    replace_by_another(held.store)
    with pytest.raises(OutputConflictError):
        held.output.commit()
    (tmp_path / "log").write_bytes(b"{}\n")
    held.output.store_log(tmp_path / "log")
    held.output.complete()
    held.close()
    assert [each.uri for each in held.store.list("memory://runs/")] == [RECORD]
    assert held.store.read(RECORD).data == b"another run's"
    assert (held.ledger.result.output_version, held.ledger.result.html_uri) == (None, None)


@pytest.mark.fault(67)
def test_a_record_that_has_told_of_its_notebook_is_not_left_without_it(held: Held) -> None:
    """It is written once more where the log could not be stored; another run may have begun meanwhile."""
    held.succeed()
    held.output.publish(b"{}", checkpointed=False)
    held.output.commit()
    version = held.ledger.result.output_version
    replace_by_another(held.store)
    held.ledger.warn("the log could not be stored")
    with pytest.raises(OutputConflictError):
        held.output.commit()
    assert (held.store.read(OUTPUT).version, held.store.read(RECORD).data) == (version, b"another run's")


@pytest.mark.fault(67)
@pytest.mark.parametrize("at_once", [False, True])
def test_what_another_run_has_published_meanwhile_stays(held: Held, at_once: bool) -> None:
    held.succeed()
    held.output.publish(b"{}", checkpointed=False, at_once=at_once)
    replace_by_another(held.store)
    held.store.write(OUTPUT, b"the winner's")
    with pytest.raises(OutputConflictError):
        held.output.commit()
    held.output.complete()
    assert held.store.read(OUTPUT).data == b"the winner's"


@pytest.mark.fault(67)
def test_a_notebook_that_comes_behind_its_record_gives_way_to_the_next_attempt(held: Held) -> None:
    """Which may begin as soon as it sees the record, and publish before that notebook is on its way."""
    held.ledger.fail(TerminatedError("at short notice"))
    held.output.publish(b"{}", checkpointed=False, at_once=True)
    held.store.write(OUTPUT, b"the next attempt's")
    held.output._claim.commit(held.ledger.result)
    replace_by_another(held.store)
    held.output._begin_notebook()
    with pytest.raises(OutputConflictError):
        held.output.complete()
    assert held.store.read(OUTPUT).data == b"the next attempt's"


@pytest.mark.fault(71)
def test_at_short_notice_the_record_goes_first_and_waits_for_no_notebook(patience: threading.Event) -> None:
    class Slow(MemoryStore):
        def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
            if uri == OUTPUT:
                patience.wait(30)
            return super().write(uri, data, if_version=if_version)

    held = Held(Slow(MemorySpace()))
    held.stop()
    held.ledger.change(state=RunState.CANCELLED, exit_code=143)
    held.output.publish(b"{}", checkpointed=False, at_once=True)
    assert held.output._publishing is None  # the record has not begun
    held.output.commit()
    assert (held.stored().exit_code, held.stored().output_version) == (143, None)
    patience.set()
    held.output.complete()
    held.output.commit()
    held.close()
    assert held.stored().output_version == held.store.stat(OUTPUT).version  # type: ignore[union-attr]  # it is there


def test_a_page_that_takes_long_leaves_time_for_log_and_record(
    monkeypatch: pytest.MonkeyPatch, patience: threading.Event, tmp_path: Path
) -> None:
    rendered = threading.Event()

    def render(*_: Any) -> Page:
        patience.wait(30)
        rendered.set()
        return Page(b"late", ())

    monkeypatch.setattr(PageRenderer, "render", render)
    held = Held(html=True)
    held.stop()
    held.output.publish(b"{}", checkpointed=False)
    assert held.ledger.result.warnings[0].startswith("rendering the page did not end within its share")
    assert held.supervisor.seconds_left > GRACE / 2
    held.output.commit()
    (tmp_path / "log").write_bytes(b"{}\n")
    held.output.store_log(tmp_path / "log")
    assert held.store.read(LOG).data == b"{}\n"
    patience.set()
    assert rendered.wait(30)
    held.close()
    assert held.store.stat(PAGE) is None, "the page came after all, though the record says that there is none"


@pytest.mark.parametrize(
    ("processors", "memory", "fields", "begun"),
    [
        (2, None, {"html": True}, True),
        (2, 2 << 30, {"html": True}, True),
        (2, None, {}, False),
        (2, None, {"html": True, "short_notice": True}, False),
        (1.5, None, {"html": True}, False),
        (8, 1 << 30, {"html": True}, False),
    ],
    ids=[
        "room",
        "a limit of memory",
        "no page",
        "a stop at short notice",
        "fewer than two processors",
        "little memory",
    ],
)
def test_a_page_is_prepared_beside_the_cells_where_that_delays_nothing(
    monkeypatch: pytest.MonkeyPatch,
    processors: float,
    memory: int | None,
    fields: dict[str, Any],
    begun: bool,
    patience: threading.Event,
) -> None:
    order: list[str] = []

    def rehearse(_: PageRenderer) -> None:
        patience.wait(30)
        order.append("rehearsed")

    def render(*_: Any) -> Page:
        order.append("rendered")
        return Page(b"<html>", ())

    monkeypatch.setattr(run_page, "available_processors", lambda: processors)
    monkeypatch.setattr(MemoryWatch, "limit_bytes", lambda _: memory)
    monkeypatch.setattr(PageRenderer, "rehearse", rehearse)
    monkeypatch.setattr(PageRenderer, "render", render)
    held = Held(**fields)
    held.output.prepare_page()
    assert order == []
    patience.set()
    held.output.publish(b"{}", checkpointed=False)
    held.close()
    assert order == ["rehearsed"] * begun + ["rendered"] * fields.get("html", False)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(operation="write", suffix=".log.jsonl", delay=1), "publishing the log did not end"),
        (Fault(operation="delete", suffix=".partial.ipynb", delay=1), "removing the partial notebook did not end"),
    ],
    ids=["log", "partial"],
)
def test_a_store_that_hangs_on_a_companion_leaves_time_for_what_follows(
    patience: threading.Event, tmp_path: Path, fault: Fault, words: str
) -> None:
    (tmp_path / "log").write_bytes(b"{}\n")

    def sleep(seconds: float) -> None:
        if seconds:
            patience.wait(30)

    held = Held(FaultyStore(MemoryStore(MemorySpace()), [fault], sleep=sleep))
    held.succeed()
    held.stop()
    held.output.publish(b"{}", checkpointed=True)
    held.output.commit()
    held.output.store_log(tmp_path / "log")
    held.close()
    assert words in held.ledger.result.warnings[0]
    assert held.supervisor.seconds_left > GRACE / 4


def test_a_fault_of_the_renderer_is_told_with_what_was_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(*_: Any) -> Page:
        raise KeyError("cells")

    monkeypatch.setattr(PageRenderer, "render", render)
    held = Held(html=True)
    held.output.publish(b"{}", checkpointed=False)
    held.close()
    assert held.ledger.result.warnings == ("KeyError: 'cells' (rendering the page)",)
    assert held.ledger.result.html_uri is None


def test_a_record_that_another_run_has_written_since_is_left_alone() -> None:
    store = MemoryStore(MemorySpace())
    store.write(RECORD, b"the earlier one")
    held = Held(store, prepare_only=True)
    replace_by_another(store)
    with pytest.raises(OutputConflictError):
        held.output.prepared(b"{}")
    held.close()
    assert store.read(RECORD).data == b"another run's"
    assert store.stat(OUTPUT) is None


def test_a_claim_that_was_taken_while_the_output_was_looked_at_is_not_taken_for_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_output, "is_remote", lambda _: True)
    store = FaultyStore(MemoryStore(MemorySpace()))
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=OUTPUT)
    ledger, supervisor = Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON)), Supervisor(GRACE)
    output = StoredOutput(spec, lambda _: store, supervisor, ledger)
    output.claim_early()
    deadline = time.monotonic() + 30
    while store.stat(RECORD) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    output.await_turn(look_at_output(output.places, lambda _: store))
    assert output.answer("sha256:0") is None
    output.claim()
    output.publish(b"{}", checkpointed=False)
    output.commit()
    ledger.close()
    supervisor.close()
    assert "delete" not in {call.operation for call in store.calls}, (
        "there is no partial notebook of an earlier attempt"
    )
    assert decode(store.read(RECORD).data, RunResult).claim is None


def fail_before_the_claim(held: Held, digest: str = "", **fields: Any) -> None:
    """A run whose input was away, and then a signal came."""
    spec = RunSpec(**{"run_id": "r", "attempt": 2, "input_uri": "in.ipynb", "output_uri": OUTPUT, **fields})
    supervisor, ledger = Supervisor(GRACE), Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON))
    output = StoredOutput(spec, lambda _: held.store, supervisor, ledger)
    output.await_turn(look_at_output(output.places, lambda _: held.store))
    ledger.change(spec_digest=digest)
    ledger.fail(StorageUnavailableError("no input"))
    supervisor.abort(TerminatedError("the run was stopped"))
    output.commit()
    ledger.close()
    supervisor.close()


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (None, {"run_id": "other", "attempt": 1}),
        (StorageUnavailableError("away"), {"run_id": "other", "attempt": 1}),
        (None, {}),
        (None, {"force": True}),
        (BadInputError("no notebook"), {}),
    ],
    ids=["another's success", "another's failure", "its own success", "the same, forced", "its own last word"],
)
def test_a_run_that_failed_before_its_claim_leaves_alone_what_is_settled(
    held: Held, error: NbstepError | None, fields: dict[str, Any]
) -> None:
    """The answer to a success may have been lost: then its engine makes another attempt."""
    held.ledger.fail(error) if error else held.succeed()
    held.output.commit()
    before = {each.uri: each.version for each in held.store.list("memory://runs/")}
    fail_before_the_claim(held, **fields)
    assert {each.uri: each.version for each in held.store.list("memory://runs/")} == before


@pytest.mark.parametrize("fields", [{}, {"resume": True}, {"force": True}], ids=["a retry", "resumed", "forced"])
def test_what_an_attempt_left_that_another_may_mend_is_kept_when_that_fails_before_its_claim(
    held: Held, fields: dict[str, Any]
) -> None:
    held.ledger.fail(BadInputError("no notebook") if fields else StorageUnavailableError("away"))
    held.output.commit()
    first = held.stored()
    fail_before_the_claim(held, **fields)
    assert (held.stored().attempt, held.stored().error.message) == (2, "no input")  # type: ignore[union-attr]  # it failed
    kept = decode(held.store.read("memory://runs/out.attempts/1.verdict.json").data, RunResult)
    assert kept == first


def ended(store: MemoryStore) -> bytes:
    """A success, whose record a later version has written."""
    held = Held(store)
    held.ledger.change(spec_digest="sha256:0")
    held.succeed()
    held.output.commit()
    held.close()
    record = store.read(RECORD).data.replace(b"{", b'{"field_of_a_later_version": 1,', 1)
    store.write(RECORD, record)
    return record


def answered(store: Any, turn: SweepTurn | None = None) -> StoredOutput:
    """The output of a retry, which that record has answered."""
    spec = RunSpec(run_id="r", attempt=2, input_uri="in.ipynb", output_uri=OUTPUT)
    supervisor, ledger = Supervisor(GRACE), Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON))
    output = StoredOutput(spec, lambda _: store, supervisor, ledger, turn)
    output.await_turn(look_at_output(output.places, lambda _: store))
    answer = output.answer("sha256:0")
    assert answer is not None
    ledger.adopt(answer)
    ledger.close()
    supervisor.close()
    return output


def test_a_record_that_answers_a_retry_is_left_as_it_is() -> None:
    store = MemoryStore(MemorySpace())
    record = ended(store)
    full = FaultyStore(store, [Fault(operation="write", error=StorageUnavailableError("full"), times=None)])
    answered(full).commit()
    assert store.read(RECORD).data == record


def test_a_record_that_answers_in_a_sweep_is_written_again_by_one_of_its_processes() -> None:
    store = MemoryStore(MemorySpace())
    turn = SweepTurn(index=0, digest=sha256(ended(store)).hexdigest())
    outputs = [answered(store, turn) for _ in range(2)]
    before = store.read(RECORD).version
    outputs[0].commit()
    written = store.read(RECORD).version
    assert written != before
    outputs[1].commit()
    assert store.read(RECORD).version == written


class Stopped(MemoryStore):
    """Asked for the places of one ending, it tells the supervisor of a stop, and then does not answer."""

    def __init__(self, space: MemorySpace, ending: str, supervisor: Supervisor, patience: threading.Event) -> None:
        super().__init__(space)
        self._ending = ending
        self._supervisor = supervisor
        self._patience = patience

    def read(self, uri: str) -> Blob:
        self._stop(uri)
        return super().read(uri)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        self._stop(uri)
        return super().write(uri, data, if_version=if_version)

    def _stop(self, uri: str) -> None:
        if uri.endswith(self._ending):
            self._supervisor.abort(TerminatedError("the run was stopped"))
            self._patience.wait(60)


@pytest.mark.parametrize("ending", [".result.json", ".verdict.json"], ids=["looking again", "keeping the earlier one"])
def test_a_stop_is_not_held_up_by_what_comes_before_the_claim(
    monkeypatch: pytest.MonkeyPatch, patience: threading.Event, ending: str
) -> None:
    space = MemorySpace()
    away(MemoryStore(space))
    spec = RunSpec(run_id="r", attempt=2, input_uri="in.ipynb", output_uri=OUTPUT)
    supervisor, ledger = Supervisor(GRACE), Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON))
    store = Stopped(space, ending, supervisor, patience)
    output = StoredOutput(spec, lambda _: store, supervisor, ledger)
    found = look_at_output(output.places, lambda _: MemoryStore(space))
    if ending == ".result.json":  # a claim was in the way, and has ended
        monkeypatch.setattr(stored_output, "wait_until_free", lambda *_: NO_RECORD)
    with pytest.raises(TerminatedError):  # noqa: PT012 - either ends in it
        output.await_turn(found)
        output.claim()
    ledger.close()
    supervisor.close()
    assert ledger.result.warnings == ()
    assert MemoryStore(space).read(RECORD).version == found.existing.version


def away(store: MemoryStore, **fields: Any) -> RunResult:
    """The record of an attempt whose storage was away, which is numbered by nobody here."""
    held = Held(store, **fields)
    held.ledger.fail(StorageUnavailableError("away"))
    held.output.commit()
    held.close()
    return held.stored()


def test_a_record_counts_the_attempts_that_failed_and_might_have_passed() -> None:
    store = MemoryStore(MemorySpace())
    assert [away(store).failures for _ in range(3)] == [1, 2, 3]
    stopped = Held(store)
    stopped.ledger.fail(TerminatedError("evicted"))
    stopped.output.commit()
    stopped.close()
    assert stopped.stored().failures == 3
    assert away(store).failures == 4
    turn = SweepTurn(index=0, digest=sha256(store.read(RECORD).data).hexdigest(), outdated=True)
    assert away(store, turn=turn).failures == 1
    done = Held(store)
    done.succeed()
    done.output.commit()
    done.close()
    assert done.stored().failures == 0


def test_of_two_processes_of_a_sweep_one_begins_a_run_before_either_knows_whether_its_inputs_are_there() -> None:
    store = MemoryStore(MemorySpace())
    away(store)
    turn = SweepTurn(index=0, digest=sha256(store.read(RECORD).data).hexdigest())
    first = Held(store, turn=turn)
    assert first.stored().claim is not None
    with pytest.raises(OutputConflictError, match="holds this output"):
        Held(store, turn=turn)
    first.ledger.fail(StorageUnavailableError("away"))
    first.output.commit()
    first.close()
    with pytest.raises(OutputConflictError, match="another process of the sweep"):
        Held(store, turn=turn)


def test_nothing_is_written_where_the_place_was_never_looked_at() -> None:
    store = MemoryStore(MemorySpace())
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=OUTPUT)
    ledger, supervisor = Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON)), Supervisor(GRACE)
    StoredOutput(spec, lambda _: store, supervisor, ledger).commit()
    ledger.close()
    supervisor.close()
    assert list(store.list("memory://runs/")) == []
    assert store.write(RECORD, b"", if_version=ABSENT)


def test_a_failure_of_other_work_is_not_what_an_attempt_leaves_alone(held: Held) -> None:
    """The notebook was mended in between."""
    held.ledger.change(spec_digest="sha256:0")
    held.ledger.fail(BadInputError("no notebook"))
    held.output.commit()
    fail_before_the_claim(held, digest="sha256:0")
    assert held.stored().attempt == 1
    fail_before_the_claim(held, digest="sha256:1")
    assert (held.stored().attempt, held.stored().error.message) == (2, "no input")  # type: ignore[union-attr]  # it failed


def test_a_fault_while_an_earlier_attempt_is_kept_is_a_warning(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(*_: Any) -> None:
        raise KeyError("attempt")

    monkeypatch.setattr(stored_output, "keep_attempt", keep)
    held.ledger.fail(StorageUnavailableError("away"))
    held.output.commit()
    fail_before_the_claim(held)
    assert held.stored().attempt == 2
    assert held.stored().warnings == ("KeyError: 'attempt' (keeping what attempt 1 left)",)
