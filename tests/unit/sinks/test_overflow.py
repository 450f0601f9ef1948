from __future__ import annotations

import io
import os
import tempfile
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.sinks import overflow
from nbstep_runner.sinks.overflow import Overflow

if TYPE_CHECKING:
    import pytest

LINES = st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1, max_size=5)


@given(st.lists(LINES | st.none(), max_size=40))
def test_lines_come_back_whole_and_in_order(steps: list[list[bytes] | None]) -> None:
    kept = Overflow(None)
    expected: deque[bytes] = deque()
    for lines in steps:
        if lines is not None:
            assert kept.append(b"".join(lines), len(lines))
            expected += lines
        elif kept:
            for line in io.BytesIO(kept.pop()):
                assert line == expected.popleft()
        assert kept.lines == len(expected)
        assert bool(kept) == bool(expected)
    assert kept.clear() == len(expected)


def test_the_disk_gets_back_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overflow, "_FILE_BYTES", 100_000)
    kept = Overflow(None)
    before = _open_files()
    for _ in range(20):
        kept.append(b"x" * 69_999 + b"\n", 1)
    assert _open_files() == before + 10
    for _ in range(18):
        kept.pop()
    assert _open_files() == before + 1
    kept.clear()
    assert _open_files() == before


def test_it_takes_no_more_than_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10_000
    taken = 0
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=free - taken, f_frsize=1))
    kept = Overflow(None)
    while kept.append(b"x" * 99 + b"\n", 1):
        taken += 100
    assert taken == free / 2


def test_no_file_has_a_name(tmp_path: Path) -> None:
    kept = Overflow(tmp_path)
    kept.append(b"line\n", 1)
    assert not list(tmp_path.iterdir())
    kept.clear()


def test_where_there_is_no_place_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    for folder in (None, tmp_path / "gone"):
        kept = Overflow(folder)
        assert not kept.append(b"line\n", 1)
        assert not kept


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
