"""What a notebook reports by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbstep_runner.engine import results
from nbstep_runner.engine.results import FILE, FILES_KEPT, JSON_SCRAP, Reported, results_of

if TYPE_CHECKING:
    import pytest


def scrap(name: str, value: Any) -> dict[str, Any]:
    return {"data": {JSON_SCRAP: {"name": name, "data": value, "encoder": "json"}}}


def test_a_result_kept_as_text_stays_text_where_it_is_nested_too_deeply() -> None:
    """Its value could not be written into the record."""
    for text, value in (("[1]", [1]), ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300)):
        scrap = {"name": "r", "data": text, "encoder": "json"}
        assert results_of({"data": {JSON_SCRAP: scrap}}) == {"r": value}


def test_results_take_a_bounded_part_of_the_record_and_what_is_left_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "RESULT_BYTES", 2**20)
    reported = Reported()
    for value in ("first", "a" * 500_000, "b" * 500_000):
        reported.note(scrap("replaced", value))
    reported.note(scrap("kept", 1))
    assert (reported.results, reported.warnings) == ({"replaced": "b" * 500_000, "kept": 1}, ())
    reported.note(scrap("kept", "c" * 2**20))
    assert list(reported.results) == ["replaced"], "an old value holds no more"
    for number in range(100_000):
        reported.note(scrap(f"name {number}", None))
    assert len(reported.results) < 2**20 / 64
    assert reported.warnings == ("results of more than 1 MB are not in the record: first 'kept'",)


def test_of_many_files_that_are_results_the_first_are_kept_and_that_is_told() -> None:
    reported = Reported()
    for number in range(FILES_KEPT + 1):
        for _ in range(2):
            assert reported.warnings == ()
            reported.note({"data": {FILE: {"path": f"{number}"}}})
            if number == FILES_KEPT:
                break
    assert list(reported.files) == [str(number) for number in range(FILES_KEPT)]
    assert reported.warnings == ("more than 1000 files are reported as results: the others are not collected for that",)
