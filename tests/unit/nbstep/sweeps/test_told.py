"""Runs of a sweep whose values the service's answer had no room for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nbstep.backends.server.interface import SetOfSweep, SweepDetail, summary_of
from nbstep.server.index_rows import short
from nbstep.sweeps.told import ToldRecords
from nbstep_runner.contract import RunState, encode
from nbstep_runner.testing import MemoryStore
from support.records import run_record

RECORD = run_record(
    run_id="a", ended_at="2026-01-02T00:00:00+00:00", parameters={"rate": 0.5}, results={"text": "x" * 2**17}
)
PLACE = "memory://told/a/output.result.json"


@pytest.mark.parametrize(
    ("lies_there", "results"),
    [
        (encode(RECORD), RECORD.results),
        (None, {}),
        (b"{", {}),
        (encode(replace(RECORD, ended_at="2025-12-01T00:00:00+00:00")), {}),  # of an earlier sweep
        (encode(replace(RECORD, state=RunState.RUNNING, ended_at=None)), {}),  # the service could not write its verdict
    ],
)
def test_the_record_counts_where_it_is_the_one_that_the_service_judged(
    lies_there: bytes | None, results: dict[str, Any]
) -> None:
    store = MemoryStore()
    store.delete(PLACE)
    if lies_there is not None:
        store.write(PLACE, lies_there)
    one = SetOfSweep(
        name="a", state=RunState.SUCCEEDED, parameters={}, run=short(summary_of("f", "a", RECORD)), ended=True
    )
    told = ToldRecords(
        lambda: SweepDetail(folder="f", metric=None, shared={}, sets=(one,), left_out=0), "memory://told", store
    )
    record = told.record(0)
    assert record is not None
    assert (record.state, record.results) == (RunState.SUCCEEDED, results)
