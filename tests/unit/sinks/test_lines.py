from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.sinks.lines import MAX_LINE, PARTIAL_WAIT, PROGRESS_INTERVAL, Block, LineAssembler


def fed(assembler: LineAssembler, text: str, now: float = 0.0) -> list[Block]:
    return list(assembler.feed(text, now))


def joined(blocks: list[Block]) -> str:
    """The text that blocks stand for, as ``docs/logging.md`` tells readers to put it together."""
    return "".join(block.text if block.continues else f"\n{block.text}" for block in blocks).removeprefix("\n")


def test_whole_lines_come_at_once_and_together() -> None:
    assembler = LineAssembler()
    assert fed(assembler, "a\nb\n\nc\n") == [Block("a\nb\n\nc")]
    assert assembler.due is None
    assert assembler.idle


def test_a_line_printed_in_parts_is_one_line() -> None:
    assembler = LineAssembler()
    assert fed(assembler, "lo") == fed(assembler, "s") == []
    assert fed(assembler, "s\nnext") == [Block("loss")]
    assert list(assembler.finish()) == [Block("next")]


def test_a_partial_line_is_shown_after_its_wait_and_then_continued() -> None:
    assembler = LineAssembler()
    fed(assembler, "working", 10.0)
    assert assembler.due == 10.0 + PARTIAL_WAIT
    assert list(assembler.tick(10.0 + PARTIAL_WAIT / 2)) == []
    assert list(assembler.tick(10.0 + PARTIAL_WAIT)) == [Block("working", partial=True)]
    assert assembler.due is None
    assert fed(assembler, " done\nnext\n", 11.0) == [Block(" done", continues=True), Block("next")]


def test_the_newline_of_a_partial_line_is_no_line() -> None:
    assembler = LineAssembler()
    fed(assembler, "working", 0.0)
    assert list(assembler.tick(1.0)) == [Block("working", partial=True)]
    assert fed(assembler, "\n\nnext\n", 2.0) == [Block("\nnext")]


def test_more_text_does_not_put_off_a_partial_line() -> None:
    assembler = LineAssembler()
    for step in range(8):
        fed(assembler, ".", step * 0.01)
    assert list(assembler.tick(PARTIAL_WAIT)) == [Block("........", partial=True)]


def test_a_progress_bar_shows_its_newest_state_each_interval_and_its_last() -> None:
    assembler = LineAssembler()
    shown = []
    for percent in range(101):
        now = percent * 0.05
        shown += fed(assembler, f"\r{percent:3d}% |{'#' * (percent // 10):10}|", now)
        shown += assembler.tick(now + 0.04)
    shown += fed(assembler, "\n", 5.06)
    assert [block.progress for block in shown] == [True] * (len(shown) - 1) + [False]
    assert len(shown) <= 5 / PROGRESS_INTERVAL + 2
    assert shown[-1] == Block("100% |##########|")


def test_a_state_is_shown_once_as_progress_and_at_the_end_for_good() -> None:
    assembler = LineAssembler()
    fed(assembler, "\r100%", 0.0)
    assert list(assembler.tick(0.1)) == [Block("100%", progress=True)]
    fed(assembler, "\r100%", 2.0)
    assert list(assembler.tick(2.1)) == []
    assert fed(assembler, "\n", 2.2) == [Block("100%")]


def test_a_bar_that_is_erased_leaves_what_comes_after_it() -> None:
    assembler = LineAssembler()
    fed(assembler, "\r 50%", 0.0)
    fed(assembler, "\r     \r", 0.01)
    assert fed(assembler, "done\n", 0.02) == [Block("done")]


def test_carriage_return_at_the_end_is_overwritten_by_the_next() -> None:
    assembler = LineAssembler()
    assert [block for i in range(5) for block in fed(assembler, f"step {i}\r", i * 0.01)] == []
    assert fed(assembler, "all done\n", 0.06) == [Block("all done")]


def test_windows_newlines_are_newlines_even_when_split() -> None:
    assembler = LineAssembler()
    assert fed(assembler, "a\r\nb\r") == [Block("a")]
    assert fed(assembler, "\nc\r\n") == [Block("b"), Block("c")]


def test_nested_bars_are_one_overwritten_line() -> None:
    assembler = LineAssembler()
    shown = fed(assembler, "\router 0%", 0.0)
    for i in range(10):
        shown += fed(assembler, f"\n\rinner {i}0%\x1b[A", i * 0.01)
    assert shown == [Block("outer 0%")]
    assert list(assembler.tick(0.2)) == [Block("inner 90%\x1b[A", progress=True)]


def test_a_very_long_line_is_split_and_marked() -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(2 * MAX_LINE + 17))
    assembler = LineAssembler()
    blocks = [*fed(assembler, text), *fed(assembler, "!\nshort\n")]
    assert [(len(b.text), b.partial, b.continues) for b in blocks] == [
        (MAX_LINE, True, False),
        (MAX_LINE, True, True),
        (18, False, True),
        (5, False, False),
    ]
    assert joined(blocks) == text + "!\nshort"


def test_a_huge_text_is_worked_off_in_slices() -> None:
    blocks = LineAssembler().feed("x" * (100 * MAX_LINE), 0.0)
    assert len(next(blocks).text) == MAX_LINE


@given(st.lists(st.tuples(st.text(alphabet="ab\n", max_size=8), st.floats(0, 0.2))))
def test_whatever_the_pieces_and_pauses_the_text_is_kept(pieces: list[tuple[str, float]]) -> None:
    assembler, now, blocks = LineAssembler(), 0.0, []
    for text, pause in pieces:
        blocks += fed(assembler, text, now)
        now += pause
        blocks += assembler.tick(now)
    blocks += assembler.finish()
    assert joined(blocks) == "".join(text for text, _ in pieces).removesuffix("\n")


@given(st.lists(st.text(alphabet="ab \r\n\b\x1b[A", max_size=10), max_size=30))
def test_no_piece_of_overwritten_text_breaks_a_line_in_two(pieces: list[str]) -> None:
    assembler = LineAssembler()
    blocks = [block for piece in pieces for block in fed(assembler, piece)] + list(assembler.finish())
    assert all("\r" not in block.text for block in blocks)
    assert sum(block.text.count("\n") + 1 for block in blocks) <= "".join(pieces).count("\n") + 1
    assert assembler.idle
    assert assembler.due is None
