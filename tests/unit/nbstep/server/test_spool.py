"""Lines on disk, read as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.server.spool import CHUNK, Entry, Spool, is_number

NUMBERS = st.none() | st.tuples(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1))


def read_all(spool: Spool, position: int = 0) -> list[Entry]:
    found: list[Entry] = []
    while position < spool.end:
        entries, position = spool.read(position)
        assert entries, "a reader stands still"
        found += entries
    return found


@given(st.lists(st.tuples(NUMBERS, st.binary(max_size=300))))
def test_what_is_read_is_what_was_written(entries: list[Entry]) -> None:
    spool, positions = Spool(), []
    for entry in entries:
        positions.append(spool.end)
        spool.add(*entry)
    assert read_all(spool) == entries
    for count, position in enumerate(positions):
        assert read_all(spool, position) == entries[count:]
    assert spool.read(spool.end) == ([], spool.end)


@pytest.mark.parametrize("size", [CHUNK - 21, CHUNK - 20, CHUNK - 19, CHUNK, 5 * CHUNK])
def test_a_line_longer_than_what_is_read_at_once_comes_whole(size: int) -> None:
    spool, entries = Spool(), [((1, 1), b"a"), ((1, 2), b"b" * size), ((1, 3), b"c")]
    for number, line in entries:
        spool.add(number, line)
    assert read_all(spool) == entries


@pytest.mark.parametrize(("attempt", "seq"), [(None, 1), (1, None), (0, 1), (1, 0), (-1, 1), (1, 2**63)])
def test_what_numbers_no_line(attempt: int | None, seq: int | None) -> None:
    assert not is_number(attempt, seq)
