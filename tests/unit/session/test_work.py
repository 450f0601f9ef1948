"""What a run reads before it begins."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from nbstep_runner.contract import ParameterSource, RunSpec
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.notebook import parse as inputs
from nbstep_runner.notebook import parse_notebook, read_standard_input
from nbstep_runner.session.earlier import NOWHERE
from nbstep_runner.session.work import fetch
from nbstep_runner.stores import Store
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.testing import FaultyStore

PARAMS = "memory://x/params.yaml"


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_each_place_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, b"all of it")
    store = FaultyStore(MemoryStore(MemorySpace()))
    store.write(PARAMS, b"{}")
    files = (ParameterSource.file(PARAMS), ParameterSource.file("-"), ParameterSource.file(PARAMS))
    spec = RunSpec(run_id="r", input_uri="-", output_uri="-", parameters=files)
    fetched = fetch(spec, None, lambda _: store)
    assert (fetched["-"], fetched[PARAMS], fetched.place) == (b"all of it", b"{}", NOWHERE)
    assert [call.operation for call in store.calls] == ["write", "read"]


def test_what_cannot_be_read_is_raised_when_it_is_wanted() -> None:
    def nothing(_: str) -> Store:
        return MemoryStore(MemorySpace())

    fetched = fetch(RunSpec(run_id="r", input_uri="memory://x/in.ipynb", output_uri="-"), None, nothing)
    with pytest.raises(InputNotFoundError) as caught:
        fetched["memory://x/in.ipynb"]
    assert caught.value.context == "reading memory://x/in.ipynb"


def test_standard_input_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_BYTES", 2**20)
    standard_input(monkeypatch, b"y" * 2**22)
    data = read_standard_input()
    assert len(data) == 2**20 + 1
    with pytest.raises(BadInputError, match="larger than 1 MiB"):
        parse_notebook(data)
