from __future__ import annotations

from nbstep_runner.contract import CellStarted, Event, Notice
from nbstep_runner.sinks import FanOut

EVENT = CellStarted(index=0, id=None, title="")


class Collecting:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed: list[float] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self, timeout: float) -> None:
        self.closed.append(timeout)


class Failing(Collecting):
    """A sink that raises, always or from the second event on."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        raise RuntimeError("broken, with a tok3n")

    def close(self, timeout: float) -> None:
        super().close(timeout)
        raise RuntimeError("still broken")


def test_every_sink_gets_every_event() -> None:
    first, second = Collecting(), Collecting()
    fan_out = FanOut([first, second])
    fan_out.handle(EVENT)
    fan_out.close(5)
    assert first.events == second.events == [EVENT]
    assert all(0 < sink.closed[0] <= 5 for sink in (first, second))


def test_a_sink_that_raises_is_dropped_and_the_others_are_told() -> None:
    first, broken, last = Collecting(), Failing(), Collecting()
    fan_out = FanOut([first, broken, last])
    fan_out.handle(EVENT)
    fan_out.handle(EVENT)
    fan_out.close(5)
    assert broken.events == [EVENT]
    for sink in (first, last):
        notice = next(event for event in sink.events if isinstance(event, Notice))
        assert notice.message == "Failing failed (RuntimeError) and takes no more events; the run goes on"
        assert sink.events.count(EVENT) == 2
    assert len(broken.closed) == len(first.closed) == 1


def test_all_sinks_may_fail() -> None:
    fan_out = FanOut([Failing(), Failing()])
    fan_out.handle(EVENT)
    fan_out.handle(EVENT)
    fan_out.close(1)
