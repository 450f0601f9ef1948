from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.engine.text import BoundedText

PIECES = st.lists(st.text("ab\n", max_size=30), max_size=30)


@given(PIECES, st.integers(0, 200))
def test_text_is_whole_below_its_limit_and_bounded_above_it(pieces: list[str], limit: int) -> None:
    text, whole = BoundedText(limit, "the log"), "".join(pieces)
    for piece in pieces:
        text.append(piece)
    assert text.kept + text.dropped == len(whole)
    assert text.kept == min(len(whole), limit)
    if len(whole) <= limit:
        assert text.join() == whole
        assert text.dropped == 0
    else:
        assert len(text.join()) <= limit + 100
        assert f"about {text.dropped:,} characters are left out here; the log has all of it" in text.join()


def test_head_and_tail_are_whole_lines_around_what_is_missing() -> None:
    text = BoundedText(40, "out.log.jsonl")
    for number in range(100):
        text.append(f"line {number}\n")
    head, note, *tail = text.join().splitlines()[1:]
    assert text.join().startswith("line 0\n")
    assert head == "line 1"
    assert note.startswith("[nbstep: about ")
    assert tail == ["line 98", "line 99"]


def test_one_endless_line_keeps_both_ends() -> None:
    text = BoundedText(10, "the log")
    text.append("abcdefghijklmnopqrstuvwxyz")
    first, note, last = text.join().split("\n")
    assert (first, last) == ("abcde", "vwxyz")
    assert "16 characters" in note
