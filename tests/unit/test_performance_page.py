"""The page on performance shows the targets of the benchmarks, all of them and as they are."""

from __future__ import annotations

from pathlib import Path

from benchmarks import page
from benchmarks.targets import TARGETS, limits, row

PAGE = Path(__file__).parents[2] / "docs/performance.md"


def test_the_page_shows_each_target() -> None:
    _, _, below = PAGE.read_text().partition("| workload | figure | bound | aim |\n|---|---|---|---|\n")
    shown = below.partition("\n\n")[0].splitlines()
    assert shown == [f"| {' | '.join((*row(target), *limits(target)))} |" for target in TARGETS]


def test_the_page_shows_the_seconds_as_the_benchmarks_print_them() -> None:
    head, rule = page.table([])
    _, _, below = PAGE.read_text().partition(f"{head}\n{rule}\n")
    rows = [line.strip("| ").split(" | ") for line in below.partition("\n\n")[0].splitlines()]
    assert [row[0] for row in rows] == list(page.ROWS)
    assert {len(row) for row in rows} == {len(page.COLUMNS)}


def test_each_figure_has_one_target() -> None:
    assert len({row(target) for target in TARGETS}) == len(TARGETS)


def test_an_aim_asks_for_more_than_its_bound() -> None:
    for target in TARGETS:
        assert target.aim is None or target.bound is None or target.holds(target.aim, target.bound)
        assert (target.bound, target.aim) != (None, None)
