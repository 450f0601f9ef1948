"""The example data is what its generator makes, so that its description stays true."""

from __future__ import annotations

import gzip
import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / "notebooks/data"


def test_the_shipped_files_are_what_the_script_makes() -> None:
    made = runpy.run_path(str(DATA / "make_flights.py"))
    assert gzip.decompress((DATA / "flights.csv.gz").read_bytes()).decode() == made["flights_csv"]()
    assert (DATA / "airports.csv").read_text() == made["airports_csv"]()


def test_the_flights_are_plausible() -> None:
    made = runpy.run_path(str(DATA / "make_flights.py"))
    rows = list(made["flights"]())
    assert len(rows) == made["DAYS"] * made["FLIGHTS_A_DAY"]
    assert 0.7 < sum(row.arr_delay < 15 for row in rows) / len(rows) < 0.85
    assert all(row.origin != row.dest and 0 < row.distance < 3000 and row.taxi_out > 0 for row in rows)
