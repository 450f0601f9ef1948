from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import (
    Deadlines,
    ErrorInfo,
    OutputLimits,
    ParameterSource,
    RunResult,
    RunSpec,
    RunState,
    StorageOptions,
    decode,
    encode,
    spec_digest,
)
from nbstep_runner.errors import BadInputError, TerminatedError

SPEC = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb")
TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SOURCES = st.one_of(
    st.builds(ParameterSource.file, TEXT),
    st.builds(ParameterSource.yaml, TEXT),
    st.builds(ParameterSource.typed, TEXT, TEXT),
    st.builds(ParameterSource.raw, TEXT, TEXT),
    st.builds(ParameterSource.values, st.dictionaries(TEXT, JSON, max_size=3)),
)
SECONDS = st.floats(0.1, 1e6)
SPECS = st.builds(
    RunSpec,
    run_id=TEXT,
    input_uri=TEXT,
    output_uri=TEXT,
    attempt=st.integers(1, 9),
    parameters=st.lists(SOURCES, max_size=4).map(tuple),
    deadlines=st.builds(Deadlines, run=st.none() | SECONDS, cell=st.none() | SECONDS, stall=st.none() | SECONDS),
    limits=st.builds(OutputLimits, cell_bytes=st.integers(0, 2**40), notebook_bytes=st.integers(0, 2**40)),
    storage=st.builds(StorageOptions, retry_seconds=SECONDS, project=st.none() | TEXT),
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    force=st.booleans(),
)
ERRORS = st.recursive(
    st.builds(ErrorInfo, reference=TEXT, message=TEXT, cell_index=st.none() | st.integers(0, 9)),
    lambda inner: st.builds(ErrorInfo, reference=TEXT, message=TEXT, attached=st.lists(inner, max_size=2).map(tuple)),
    max_leaves=3,
)
RESULTS = st.builds(
    RunResult,
    run_id=TEXT,
    attempt=st.integers(1, 9),
    spec_digest=TEXT,
    state=st.sampled_from(RunState),
    input_uri=TEXT,
    output_uri=TEXT,
    exit_code=st.none() | st.integers(0, 255),
    error=st.none() | ERRORS,
    results=st.dictionaries(TEXT, JSON, max_size=3),
    parameters=st.dictionaries(TEXT, JSON, max_size=3),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
)


@given(SPECS)
def test_a_spec_survives_its_json(spec: RunSpec) -> None:
    assert decode(encode(spec), RunSpec) == spec
    assert decode(encode(spec, indent=2), RunSpec) == spec
    json.loads(encode(spec))


@given(RESULTS)
def test_a_record_survives_its_json(result: RunResult) -> None:
    assert decode(encode(result), RunResult) == result


def test_an_older_reader_passes_over_what_it_does_not_know_and_a_newer_one_over_what_is_missing() -> None:
    data = json.loads(encode(SPEC))
    assert decode(json.dumps(data | {"from_the_future": 1}).encode(), RunSpec) == SPEC
    for name in data.keys() - {"run_id", "input_uri", "output_uri"}:
        assert decode(json.dumps({key: data[key] for key in data if key != name}).encode(), RunSpec) == SPEC


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"run_id": 1}', b"null", b'{"x":' * 99_999])
def test_what_is_no_spec_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputError, match="not a valid RunSpec"):
        decode(data, RunSpec)


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        SPEC.run_id = "other"  # type: ignore[misc]  # what must not be possible


@pytest.mark.parametrize("change", [{"attempt": 2}, {"force": True}])
def test_a_retry_is_the_same_work(change: dict[str, Any]) -> None:
    assert spec_digest(replace(SPEC, **change), "i", "p") == spec_digest(SPEC, "i", "p")


CHANGES: dict[str, Any] = {
    "run_id": "other",
    "input_uri": "other",
    "output_uri": "other",
    "kernel": "ir",
    "deadlines": Deadlines(cell=1),
    "parameters": (ParameterSource.raw("a", "1"),),
    "html": True,
    "labels": {"a": "b"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_work_has_another_digest(name: str) -> None:
    assert spec_digest(replace(SPEC, **{name: CHANGES[name]}), "i", "p") != spec_digest(SPEC, "i", "p")


def test_what_is_read_is_part_of_the_work() -> None:
    digests = {spec_digest(SPEC, notebook, values) for notebook in "ab" for values in "ab"}
    assert len(digests) == 4
    assert all(digest.startswith("sha256:") for digest in digests)


@pytest.mark.parametrize("state", RunState)
def test_a_state_is_final_unless_it_can_still_change(state: RunState) -> None:
    assert state.final == (state not in {RunState.PENDING, RunState.RUNNING})


def test_every_type_that_is_read_back_has_a_version() -> None:
    for kind in (RunSpec, RunResult):
        assert {field.name: field.default for field in fields(kind)}["schema_version"] == 1


def test_an_error_as_data() -> None:
    info = ErrorInfo.of(TerminatedError("stopped", context="publishing"))
    assert (info.reference, info.message, info.context, info.retryable) == ("terminated", "stopped", "publishing", True)
