"""The table of ``make faults``: each fault, how often it was tried, what it broke, how long the run took to end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

Tried = Callable[[str, float], None]
PROPERTY = "fault"


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    """Tell the table of one try: the fault's name, and the seconds from the fault to the end of the run."""

    def tell(fault: str, seconds: float) -> None:
        record_property(PROPERTY, (fault, seconds))

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table; a try counts as a violation where its test failed, one of several tries with the others."""
    rows: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call" and "faults/" in report.nodeid:
                tries = [value for name, value in report.user_properties if name == PROPERTY]
                for name, seconds in tries or [(_test_of(report), report.duration)]:
                    rows[name].append((seconds, outcome == "failed"))
    if rows:
        _print(rows, terminalreporter)


def _test_of(report: Any) -> str:
    """What to call a try that failed before it could tell its fault."""
    return str(report.nodeid).rpartition("::")[2].partition("[")[0]


def _print(rows: dict[str, list[tuple[float, bool]]], reporter: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("fault", title="Faults")
    for heading in ("tries", "violations", "worst time to end"):
        table.add_column(heading, justify="right")
    for fault, tries in sorted(rows.items()):
        broken = sum(failed for _, failed in tries)
        table.add_row(fault, str(len(tries)), str(broken), f"{max(seconds for seconds, _ in tries):.2f} s")
    total = [each for tries in rows.values() for each in tries]
    table.add_section()
    table.add_row("all", str(len(total)), str(sum(failed for _, failed in total)), f"{max(total)[0]:.2f} s")
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    reporter.write_line("\n" + capture.get())
