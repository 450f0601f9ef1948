"""A run that has no place to work in says so, where its log would be."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.session import run
from nbstep_runner.session.ledger import LogSettings
from nbstep_runner.sinks.log import LogFormat

if TYPE_CHECKING:
    import pytest


class Kernels:
    """The kernels of a run, as far as ending them goes."""

    token = "t"  # noqa: S105 - marks processes
    closed = False

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_it_is_told_in_the_log_and_leaves_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_scratch(_token: str) -> None:
        raise StorageUnavailableError("no temporary folder can be written: full", hint="Free space there.")

    monkeypatch.setattr(run, "Scratch", no_scratch)
    stream, kernels = io.BytesIO(), Kernels()
    tools = run.RunTools(
        supervisor=cast("Any", None),
        kernels=cast("Any", kernels),
        log=LogSettings(stream=stream, format=LogFormat.JSON),
        notebook_stream=io.BytesIO(),
    )
    result = run.run_once(RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb"), tools)
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert result.exit_code == 75
    assert kernels.closed
    assert len(lines) == 1
    assert lines[0]["message"].endswith("no temporary folder can be written: full")
    assert lines[0]["error"]["hint"] == "Free space there."
