"""The page on reliability is held to the tests: each numbered fault has a row, naming tests that carry its number."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/reliability.md").read_text()
ROWS = {
    int(number): re.findall(r"`([\w.]+::\w+)`", tests)
    for number, tests in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)
}
FAULTS = range(1, 79)


@cache
def marked_by_fault() -> dict[int, set[str]]:
    """The tests that carry each number, as ``file::test``."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "mark.fault(" in text else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for number in faults_of(node):
                    found[number].add(f"{path.name}::{node.name}")
    return found


def faults_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[int]:
    return [
        int(decorator.args[0].value)
        for decorator in test.decorator_list
        if isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func) == "pytest.mark.fault"
        and isinstance(decorator.args[0], ast.Constant)
        and isinstance(decorator.args[0].value, int)
    ]


def test_every_fault_has_its_row_in_order() -> None:
    assert list(ROWS) == list(FAULTS)


def test_no_test_carries_a_number_that_is_none() -> None:
    assert set(marked_by_fault()) <= set(FAULTS)


@pytest.mark.parametrize("number", FAULTS)
def test_a_row_names_tests_that_carry_its_number(number: int) -> None:
    assert set(ROWS[number]) <= marked_by_fault()[number]


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_that_is_shown_is_said_to_be(number: int) -> None:
    assert bool(ROWS[number]) == bool(marked_by_fault()[number])
