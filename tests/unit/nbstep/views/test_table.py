from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from nbstep.views.plot import scatter
from nbstep.views.runs_table import Row, plots, runs_table
from nbstep.views.table import MOST_ROWS, Html, table
from nbstep_runner.contract import RunState

VALUES = st.none() | st.integers(-99, 99) | st.floats(allow_nan=True) | st.text(max_size=4)


def places(html: str, column: int) -> list[int]:
    return [int(place) for place in re.findall(rf"--c{column}:(\d+);", html)]


def test_each_row_knows_its_place_in_every_order() -> None:
    html = table(
        ["n", "name"], [["10", "b"], ["9", "a"], ["", "c"]], keys=[[10, "b"], [9, "a"], [None, "c"]], title="T"
    )
    assert places(html, 0) == [1, 0, 2]
    assert places(html, 1) == [1, 0, 2]
    assert html.count('type="radio"') == 2
    assert ":has(" in html


@given(st.lists(VALUES, max_size=30))
def test_any_values_have_an_order(values: list[object]) -> None:
    html = table(["v"], [[str(value)] for value in values], keys=[[value] for value in values], title="T")
    assert sorted(places(html, 0)) == list(range(len(values)))


def test_without_any_style_it_is_a_table_still() -> None:
    html = table(["n", "name"], [["10", "b"], ["9", "a"]], title="T")
    assert re.sub(r"<style>.*?</style>| [-\w]+=\"[^\"]*\"", "", html, flags=re.DOTALL) == (
        "<div><table><thead><tr><th>n</th><th>name</th></tr></thead>"
        "<tbody><tr><td>10</td><td>b</td></tr><tr><td>9</td><td>a</td></tr></tbody></table></div>"
    )


def test_without_keys_nothing_can_be_chosen_and_text_is_no_markup() -> None:
    html = table(["<h>"], [["<script>x</script>"], [Html("<b>bold</b>")]], title="<t>")
    assert "radio" not in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>bold</b>" in html
    assert 'aria-label="&lt;t&gt;"' in html


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    html = table(["n"], [[str(n)] for n in range(MOST_ROWS + 5)], title="T")
    assert html.count('role="row"') == MOST_ROWS + 1
    assert "and 5 more" in html


ROWS = [
    Row(name="a", state=RunState.SUCCEEDED, parameters={"lr": 0.1, "kind": "x"}, seconds=1.5, results={"rmse": 0.3}),
    Row(name="b", state=RunState.FAILED, parameters={"lr": 0.2, "kind": "y"}, error="it raised"),
]


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def test_runs_stand_side_by_side() -> None:
    parts = Text(runs_table(ROWS, title="Runs")).parts
    for text in (
        "run",
        "lr",
        "kind",
        "state",
        "seconds",
        "rmse",
        "error",
        "a",
        "0.1",
        "succeeded",
        "1.50",
        "it raised",
    ):
        assert text in parts


def test_files_that_came_back_are_linked() -> None:
    files = tuple((f"{name}.csv", f"gs://bucket/a.files/{name}.csv") for name in "vwxyz")
    html = runs_table([replace(ROWS[0], files=files), *ROWS], title="Runs")
    assert html.count("console.cloud.google.com/storage/browser/_details/bucket/a.files/") == 3
    assert "and 2 more" in html
    assert "files" not in Text(runs_table(ROWS, title="Runs")).parts


def test_a_result_is_drawn_against_each_parameter_that_varies_and_is_a_number() -> None:
    more = [*ROWS, Row(name="c", state=RunState.SUCCEEDED, parameters={"lr": 0.4, "kind": "x"}, results={"rmse": 0.2})]
    drawn = plots(more, "rmse")
    assert drawn.count("<svg") == 1
    assert 'aria-label="rmse against lr"' in drawn
    assert drawn.count("<circle") == 2
    assert plots(ROWS, "rmse") == ""


def test_points_that_are_all_the_same_lie_in_the_middle() -> None:
    assert scatter([(1.0, 2.0)], x="<x>", y="y").count("<circle") == 1
    assert "<x>" not in scatter([(1.0, 2.0)], x="<x>", y="y")
