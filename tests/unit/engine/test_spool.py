"""What is too much for memory takes disk for as long as somebody holds it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from nbstep_runner.engine import spool
from nbstep_runner.engine.spool import Segment, Spool
from support import disks

BOUND = 10_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Spool:
    """One that is looked through from 10 kB on."""
    monkeypatch.setattr(spool, "LOOKED_THROUGH_BYTES", BOUND)
    return Spool(tmp_path)


def read(made: Spool, segment: Segment) -> bytes:
    return b"".join(made.read(segment))


@pytest.mark.fault(52)
def test_what_was_replaced_takes_no_disk(small: Spool, tmp_path: Path) -> None:
    held = {number: small.append(bytes([number]) * 700, Segment()) for number in range(3)}
    reading = small.read(held[0])
    most = 0
    for round_ in range(200):
        held[round_ % 3] = small.append(bytes([round_]) * 700, Segment())
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert most <= BOUND
    assert [read(small, held[last % 3]) for last in (197, 198, 199)] == [
        bytes([last]) * 700 for last in (197, 198, 199)
    ]
    assert b"".join(reading) == b"\0" * 700
    small.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_goes_on_in_the_file_in_which_it_began(
    small: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "COPY_BYTES", 100)
    first = small.append(b"a" * 1000, Segment())
    reading = small.read(first)
    begun = next(reading)
    before = small.path
    for _ in range(30):
        small.append(b"b" * 1000, Segment())
    assert small.path != before
    assert small.rewritten
    assert begun + b"".join(reading) == read(small, first) == b"a" * 1000
    assert list(tmp_path.iterdir()) == [small.path]


@pytest.mark.fault(21)
def test_a_disk_without_room_to_make_some_loses_nothing(
    small: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [small.append(bytes([number]) * 1000, Segment()) for number in range(3)]
    for _ in range(7):
        small.append(b"x" * 1000, Segment())
    path = small.path
    disks.fill(monkeypatch, room=2000)
    with pytest.raises(OSError, match="No space"):
        small.append(b"y" * 1000, Segment())
    assert [read(small, each) for each in kept] == [bytes([number]) * 1000 for number in range(3)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fault(52)
def test_letting_go_of_a_part_is_not_cut_in_two(tmp_path: Path) -> None:
    """Another thread, a checkpoint's, does so while the parts are looked through: it must run no Python code there."""
    made = Spool(tmp_path)
    held = [made.append(b"x", Segment()) for _ in range(3)]
    called: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    usual = sys.getprofile()
    gc.disable()  # what other tests have left would be noted too
    sys.setprofile(note)
    try:
        del held[0]
    finally:
        sys.setprofile(usual)
        gc.enable()
    assert called == []
    made._look_through()
    assert len(made._parts) == len(held)
