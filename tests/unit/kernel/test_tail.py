"""The end of what a process has said begins with no half of a secret."""

from __future__ import annotations

import pytest

from nbstep_runner.kernel.tail import KEPT, Tail

SECRET = "s3cret-of-the-kernel"  # noqa: S105 - of this test alone


def kept_of(text: str, *, cut_at: int) -> str:
    tail = Tail()
    for piece in (text[:cut_at], text[cut_at:]):
        tail.add(piece.encode())
    return tail.text


def test_what_is_short_is_kept_whole() -> None:
    assert kept_of(f"{SECRET}\nä", cut_at=5) == f"{SECRET}\nä"


@pytest.mark.fault(49)
@pytest.mark.parametrize("line_break", ["\n", ""])
def test_what_was_cut_within_a_secret_shows_no_part_of_it(line_break: str) -> None:
    half = len(SECRET) // 2
    text = kept_of(f"{SECRET}{line_break}{'-' * 2 * KEPT}the end", cut_at=half)
    assert SECRET[half:] not in text
    assert text.endswith("the end")
    assert len(text) >= KEPT
