from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import CellRecord, CellState, ErrorInfo, RunResult, RunSpec, RunState, decode, encode
from nbstep_runner.engine.execute import Execution
from nbstep_runner.errors import (
    BadInputError,
    CellFailedError,
    ExitCode,
    InternalError,
    InterruptedRunError,
    NbstepError,
    StorageUnavailableError,
    TerminatedError,
    TimedOutError,
)
from nbstep_runner.session import earlier, results
from nbstep_runner.session.termination import LIMIT, termination_error, termination_message

SPEC = RunSpec(run_id="r", input_uri="https://user:hunter2@host/in.ipynb?token=hunter3", output_uri="gs://b/out.ipynb")
CELLS = (CellRecord(index=0, id="a", state=CellState.FAILED),)


def executed(exit_code: ExitCode, state: RunState, error: NbstepError | None) -> RunResult:
    info = ErrorInfo.of(error) if error else None
    execution = Execution(state=state, exit_code=exit_code, seconds=1.0, error=info, cells=CELLS, warnings=("w",))
    return results.executed(results.blank(SPEC), execution)


def test_a_record_holds_no_credentials_of_its_uris() -> None:
    assert b"hunter" not in encode(results.blank(SPEC))
    assert results.blank(SPEC).input_uri.startswith("https://")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (BadInputError("x"), RunState.FAILED),
        (InternalError("x"), RunState.FAILED),
        (TerminatedError("x"), RunState.CANCELLED),
        (InterruptedRunError("x"), RunState.CANCELLED),
    ],
)
def test_an_error_is_the_verdict(error: NbstepError, state: RunState) -> None:
    result = results.failed(results.blank(SPEC), error)
    assert (result.state, result.exit_code) == (state, int(error.exit_code))
    assert result.error is not None
    assert (result.error.reference, result.error.hint) == (error.reference, error.hint)
    assert result.claim is None


def test_a_success_that_cannot_be_stored_is_none() -> None:
    result = executed(ExitCode.SUCCEEDED, RunState.SUCCEEDED, None)
    lost = results.unpublished(result, StorageUnavailableError("the bucket does not answer"))
    assert (lost.state, lost.exit_code) == (RunState.FAILED, 75)
    assert lost.cells == CELLS


def test_a_failed_cell_stays_the_verdict_and_the_storages_error_is_attached() -> None:
    result = executed(ExitCode.CELL_FAILED, RunState.FAILED, CellFailedError("cell 0 raised"))
    lost = results.unpublished(result, StorageUnavailableError("the bucket does not answer"))
    assert (lost.state, lost.exit_code) == (RunState.FAILED, 10)
    assert lost.error is not None
    assert [error.reference for error in lost.error.attached] == ["storage-unavailable"]
    again = results.unpublished(lost, StorageUnavailableError("still not"))
    assert again.error is not None
    assert len(again.error.attached) == 2


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        (None, True),
        (CellFailedError("x"), True),
        (BadInputError("x"), True),
        (InternalError("x"), False),
        (StorageUnavailableError("x"), False),
        (TerminatedError("x"), False),
        (InterruptedRunError("x"), False),
    ],
)
def test_which_records_answer_for_a_retry(error: NbstepError | None, answers: bool) -> None:
    success = executed(ExitCode.SUCCEEDED, RunState.SUCCEEDED, None)
    record = replace(results.failed(success, error) if error else success, spec_digest="d")
    assert earlier.answers(record, "d") is answers
    assert not earlier.answers(record, "another")
    assert not earlier.answers(replace(record, state=RunState.RUNNING), "d")
    assert not earlier.answers(None, "d")


def test_the_termination_message_fits_and_says_the_verdict() -> None:
    failed = results.failed(results.blank(SPEC), CellFailedError("x" * 5000))
    full = replace(failed, results={"value": "é" * 3000})
    for result in (failed, full):
        message = termination_message(result)
        assert len(message) <= LIMIT
        verdict = decode(message, dict)
        assert (verdict["exit_code"], verdict["error"]["reference"]) == (10, "cell-failed")
    assert "results" in decode(termination_message(failed), dict)
    assert "results" not in decode(termination_message(full), dict)


@pytest.mark.parametrize(
    ("message", "place"),
    [("\U0001f4a5" * 5000, "gs://b/out.ipynb"), ("\0" * 5000, "gs://b/out.ipynb"), ("x", "gs://b/" + "ä" * 3000)],
    ids=["wide", "escaped", "far"],
)
def test_the_termination_message_is_json_whatever_the_words_are(message: str, place: str) -> None:
    spec = replace(SPEC, output_uri=place)
    verdict = decode(termination_message(results.failed(results.blank(spec), CellFailedError(message))), dict)
    assert (verdict["exit_code"], verdict["error"]["reference"]) == (10, "cell-failed")
    assert message.startswith(verdict["error"]["message"][:100])


def test_the_termination_message_begins_with_a_sentence_for_people() -> None:
    error = ErrorInfo.of(TimedOutError("the cell's deadline of 3 s passed"))
    late = replace(results.blank(SPEC), state=RunState.FAILED, error=replace(error, cell_index=4))
    text = termination_message(late).decode()
    assert text.startswith('{"message":"failed: cell 4: the cell\'s deadline of 3 s passed; see gs://')
    raised = replace(error, message="cell 4 raised ValueError: the cell is wrong\nin two lines", cell_index=4)
    told = decode(termination_message(replace(late, error=raised)), dict)["message"]
    assert told == f"failed: cell 4 raised ValueError: the cell is wrong in two lines; see {SPEC.output_uri}"
    inside = replace(late, output_uri="/minio/bucket/output.ipynb", error=None, state=RunState.SUCCEEDED)
    assert decode(termination_message(inside), dict)["message"] == "succeeded"


@given(st.text(), st.text(), st.sampled_from(RunState))
def test_the_sentence_of_a_termination_message_is_one_line_of_at_most_300_characters(
    message: str, place: str, state: RunState
) -> None:
    spec = replace(SPEC, output_uri=f"gs://bucket/{place}")
    failed = replace(results.failed(results.blank(spec), CellFailedError(message)), state=state)
    told = decode(termination_message(failed), dict)["message"]
    assert len(told) <= 300
    assert told.startswith(str(state))
    assert len(told.splitlines()) == 1 or "gs://" in told


@pytest.mark.parametrize(
    ("error", "state"), [(BadInputError("\0" * 5000), "failed"), (TerminatedError("stopped"), "cancelled")]
)
def test_an_error_without_a_record_has_a_termination_message_too(error: NbstepError, state: str) -> None:
    message = termination_error(error)
    assert len(message) <= LIMIT
    verdict = decode(message, dict)
    assert (verdict["state"], verdict["exit_code"]) == (state, int(error.exit_code))
    assert verdict["error"]["reference"] == error.reference
    assert error.message.startswith(verdict["error"]["message"])
