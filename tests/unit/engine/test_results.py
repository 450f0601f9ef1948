"""What a notebook reports by name."""

from __future__ import annotations

from nbstep_runner.engine.results import JSON_SCRAP, results_of


def test_a_result_kept_as_text_stays_text_where_it_is_nested_too_deeply() -> None:
    """Its value could not be written into the record."""
    for text, value in (("[1]", [1]), ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300)):
        scrap = {"name": "r", "data": text, "encoder": "json"}
        assert results_of({"data": {JSON_SCRAP: scrap}}) == {"r": value}
