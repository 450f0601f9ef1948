"""Of output that is cleared again and again, one state a second is shown, and the last."""

from __future__ import annotations

from nbstep_runner.contract.events import Severity, StreamText
from nbstep_runner.sinks.lines import Redrawn, Shown
from nbstep_runner.sinks.records import Record


def text(words: str) -> StreamText:
    return StreamText(0, "a", "stdout", words)


def words(shown: list[Shown]) -> list[str]:
    return [item.text if isinstance(item, StreamText) else item.message for item, _ in shown]


def test_a_loop_shows_a_state_each_second_and_the_last() -> None:
    redrawn, shown = Redrawn(), []
    for step in range(50):
        redrawn.clear(step / 10, wait=True)
        shown += words(redrawn.take(text(f"{step}"), 0.0, step / 10))
        if redrawn.due is not None and redrawn.due <= step / 10 + 0.05:
            shown += words(redrawn.release(step / 10 + 0.05))
    shown += words(redrawn.release(5.0))
    assert shown == ["0", "10", "20", "30", "40", "49"]


def test_a_state_that_stays_is_shown_when_the_second_is_over() -> None:
    redrawn = Redrawn()
    redrawn.clear(10.0, wait=False)
    assert words(redrawn.take(text("first"), 0.0, 10.0)) == ["first"]
    redrawn.clear(10.2, wait=False)
    display = Record("output", Severity.INFO, "display", (0, "a"))
    assert words([*redrawn.take(text("second"), 0.0, 10.2), *redrawn.take(display, 0.0, 10.3)]) == []
    assert redrawn.due == 11.0
    assert words(redrawn.release(11.0)) == ["second", "display"]
    assert words(redrawn.take(text("more of it"), 0.0, 11.1)) == ["more of it"]
    assert redrawn.due is None


def test_what_waits_to_be_cleared_stays_where_nothing_more_comes() -> None:
    redrawn = Redrawn()
    redrawn.clear(0.0, wait=False)
    redrawn.clear(0.1, wait=False)
    redrawn.take(text("kept"), 0.0, 0.1)
    redrawn.clear(0.2, wait=True)
    assert words(redrawn.release(0.3)) == ["kept"]


def test_a_state_that_is_large_is_not_held() -> None:
    redrawn = Redrawn()
    redrawn.clear(0.0, wait=False)
    redrawn.clear(0.1, wait=False)
    assert words(redrawn.take(text("a line\n"), 0.0, 0.1)) == []
    assert len(redrawn.take(text("x" * 2**20), 0.0, 0.1)) == 2
    assert words(redrawn.take(text("and on"), 0.0, 0.1)) == ["and on"]
