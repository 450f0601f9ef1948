"""What a run leaves in this process's files once it has its verdict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nbstep_runner.cli import process
from nbstep_runner.cli.process import _copy_record
from nbstep_runner.contract import RunResult, decode
from support.records import run_record

if TYPE_CHECKING:
    import pytest


def test_a_copy_of_the_record_waits_for_no_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    _copy_record(run_record(exit_code=0), str(tmp_path / "pipe"))
    told = capsys.readouterr().err
    assert told.startswith(f"nbstep-runner: the record cannot be copied to {tmp_path / 'pipe'}: No such device")

    file = tmp_path / "record.json"
    file.write_text("what was there before, and was longer than any record is" * 100)
    _copy_record(run_record(exit_code=0), str(file))
    assert decode(file.read_bytes(), RunResult) == run_record(exit_code=0)


def test_a_copy_of_the_record_waits_a_bounded_time_for_a_reader_that_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COPIED_WITHIN_SECONDS", 0.05)
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _copy_record(run_record(exit_code=0, warnings=["more than a pipe holds" * 10**5]), pipe)
    finally:
        os.close(reader)  # which ends the write
    told = capsys.readouterr().err
    assert told == f"nbstep-runner: the record cannot be copied to {pipe}: it was not taken within 0.05 s\n"
