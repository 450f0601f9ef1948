"""Versions that meet: 0.1's specs and records are read, and 0.1 can read what is written now."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nbstep_runner.contract import (
    CellRecord,
    CellState,
    Claim,
    Deadlines,
    Environment,
    ErrorInfo,
    InputFile,
    Need,
    OutputLimits,
    ParameterSource,
    RunResult,
    RunSpec,
    RunState,
    StorageOptions,
    StorePromises,
    SweepSpec,
    decode,
    encode,
    knows,
    since,
    spec_digest,
)
from nbstep_runner.errors import StorageUnavailableError

HERE = Path(__file__).parent
SPEC = (HERE / "spec-0.1.json").read_bytes()
RECORD = (HERE / "record-0.1.json").read_bytes()
SCHEMAS = json.loads((HERE / "schemas-0.1.json").read_text())
DIGEST_OF_0_1 = "sha256:04471856c8d8e4a88ba7516dae43573bb858ba64bb20d74de6728bccb36adaa9"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterDeadlines(Deadlines):
    """Deadlines of a version to come."""

    idle: float | None = field(default=None, metadata=since("0.9"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterSpec(RunSpec):
    """A spec of a version to come."""

    loud: bool = field(default=False, metadata=since("0.8"))
    deadlines: LaterDeadlines = field(default_factory=LaterDeadlines)


def later(**fields: Any) -> LaterSpec:
    return LaterSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb", **fields)


def test_a_spec_of_0_1_is_read() -> None:
    spec = decode(SPEC, RunSpec)
    assert (spec.run_id, spec.attempt, spec.deadlines.run) == ("20260102-030405-0a1b2c3d", 2, 60.0)
    assert [source.kind for source in spec.parameters] == ["values", "yaml", "file", "text", "raw"]
    assert spec.needs == ()


def test_work_that_0_1_finished_stays_finished() -> None:
    assert spec_digest(decode(SPEC, RunSpec), "sha256:1", "sha256:2") == DIGEST_OF_0_1


def test_a_record_of_0_1_is_read() -> None:
    record = decode(RECORD, RunResult)
    assert (record.state, record.exit_code, record.results) == (RunState.FAILED, 10, {"rmse": 0.25})
    assert [cell.state for cell in record.cells] == ["succeeded"] * 3 + ["failed"]
    assert record.store is None


def test_whether_a_run_is_made_again_that_storage_has_ended_is_not_told_by_a_record_that_counts_no_failures() -> None:
    plan, away = SweepSpec(specs=(decode(SPEC, RunSpec),), jobs=1), ErrorInfo.of(StorageUnavailableError("away"))
    older = replace(decode(RECORD, RunResult), error=away)
    counts = replace(RunResult.blank(plan.specs[0], str), state=RunState.FAILED, error=away)
    assert (older.failures, counts.failures) == (1, 1)
    assert [plan.is_verdict(record) for record in (older, decode(encode(counts), RunResult))] == [False, True]
    assert plan.is_verdict(decode(RECORD, RunResult))


@pytest.mark.parametrize(
    "value",
    [
        decode(SPEC, RunSpec),
        replace(decode(SPEC, RunSpec), needs=("loud>=0.8",)),
        later(loud=True, deadlines=LaterDeadlines(idle=1.0)),
        decode(RECORD, RunResult),
        RunResult(
            run_id="r",
            attempt=1,
            spec_digest="sha256:0",
            state=RunState.SUCCEEDED,
            input_uri="in",
            output_uri="out",
            error=ErrorInfo(reference="internal", message="m", attached=(ErrorInfo(reference="usage", message="n"),)),
            claim=Claim(token="t", host="h", pid=1, pid_started=1, heartbeat_at="now", lease_seconds=1.0),  # noqa: S106 - no secret
            cells=(CellRecord(index=0, id=None, state=CellState.SKIPPED),),
            environment=Environment(python="3", nbstep="0.2", platform="p"),
            store=StorePromises(atomic_replace=True, conditional_write=True, verified=True),
        ),
    ],
    ids=["spec", "needs", "later spec", "record", "later record"],
)
def test_0_1_can_read_what_is_written_now(value: Any) -> None:
    schema = SCHEMAS["RunResult" if isinstance(value, RunResult) else "RunSpec"]
    jsonschema.validate(json.loads(encode(value)), schema)


@pytest.mark.parametrize("kind", [RunSpec, Deadlines, OutputLimits, StorageOptions, InputFile, ParameterSource])
def test_each_field_of_a_spec_that_0_1_has_not_says_which_version_brought_it(kind: type[Any]) -> None:
    first = SCHEMAS["RunSpec"]["$defs"][kind.__name__]["properties"]
    unmarked = {each.name for each in fields(kind) if each.name not in first and not each.metadata}
    assert unmarked <= {"needs"}


def test_a_spec_lists_what_it_needs() -> None:
    assert later().needs == ()
    spec = later(loud=True, deadlines=LaterDeadlines(idle=1.0))
    assert spec.needs == ("deadlines.idle>=0.9", "loud>=0.8")
    assert decode(encode(spec), RunSpec).needs == spec.needs, "an older reader loses none of them"
    assert replace(spec, attempt=2).needs == spec.needs


def test_who_knows_what_a_spec_needs() -> None:
    spec = later(loud=True, deadlines=LaterDeadlines(idle=1.0))
    names = [Need.of(text).name for text in spec.needs]
    assert [knows(spec, name) for name in names] == [True, True]
    assert [knows(decode(encode(spec), RunSpec), name) for name in names] == [False, False]
    assert knows(replace(spec, files=(InputFile(path="a", uri="b", checksum="c"),)), "files.path")
    assert Need.of("unheard of") == Need("unheard of", "")


def test_a_later_field_at_its_default_changes_no_digest() -> None:
    plain = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb")
    digests = [spec_digest(spec, "i", "p") for spec in (plain, later(), later(loud=True))]
    assert digests[0] == digests[1] != digests[2]
    sources = (ParameterSource.raw("a", "1"),)
    assert spec_digest(later(parameters=sources), "i", "p") == spec_digest(replace(plain, parameters=sources), "i", "p")
