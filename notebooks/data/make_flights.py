"""Makes the synthetic flights that the example notebooks train on: ``flights.csv.gz`` and ``airports.csv``.

Run it as ``python make_flights.py``; the seed is fixed, so the rows are always the same. The model is described in
``README.md`` beside this file. Only the airports' positions are facts; no flight here ever took off.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date, timedelta
from pathlib import Path

SEED = 20_250_106
FIRST_DAY = date(2025, 1, 6)
DAYS = 84
FLIGHTS_A_DAY = 360

AIRPORTS = {
    "ATL": (33.64, -84.43),
    "AUS": (30.19, -97.67),
    "BNA": (36.12, -86.68),
    "BOS": (42.36, -71.01),
    "CLT": (35.21, -80.94),
    "DEN": (39.86, -104.67),
    "DFW": (32.90, -97.04),
    "DTW": (42.21, -83.35),
    "IAH": (29.98, -95.34),
    "JFK": (40.64, -73.78),
    "LAS": (36.08, -115.15),
    "LAX": (33.94, -118.41),
    "MCO": (28.43, -81.31),
    "MIA": (25.79, -80.29),
    "MSP": (44.88, -93.22),
    "ORD": (41.98, -87.90),
    "PDX": (45.59, -122.60),
    "PHX": (33.43, -112.01),
    "SEA": (47.45, -122.31),
    "SFO": (37.62, -122.38),
    "SLC": (40.79, -111.98),
    "TPA": (27.98, -82.53),
}
"""Code to latitude and longitude, degrees."""

CARRIERS = {"A1": -2.0, "B2": 0.0, "C3": 1.5, "D4": 4.0}
"""Made-up carriers, each with the minutes that it tends to leave late by."""

CROWDED = ("JFK", "ORD", "SFO")
"""Airports whose airspace is always busy: what lies near them shares their holding patterns."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One row. Delays and times are whole minutes, the distance is in miles, ``dep_hour`` is local, 0 to 23."""

    date: str
    carrier: str
    origin: str
    dest: str
    dep_hour: int
    distance: int
    dep_delay: int
    taxi_out: int
    arr_delay: int


def miles(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The great-circle distance between two positions in degrees, by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, place)) for place in (start, end))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 3958.8 * math.asin(math.sqrt(half))


def storms(chance: random.Random) -> Iterator[dict[str, float]]:
    """Each day's trouble by airport, 0 when calm: storms that neighbours and following days share, crowds that stay."""
    crowds = {
        code: max(math.exp(-((miles(place, AIRPORTS[hub]) / 400) ** 2)) for hub in CROWDED)
        for code, place in AIRPORTS.items()
    }
    severity = crowds
    while True:
        severity = {code: 0.45 * value + 0.55 * crowds[code] for code, value in severity.items()}
        for _ in range(chance.choice((0, 1, 1, 2))):
            centre = chance.choice(list(AIRPORTS.values()))
            force = chance.expovariate(1.0)
            for code, place in AIRPORTS.items():
                severity[code] += force * math.exp(-((miles(place, centre) / 350) ** 2))
        yield severity


def fly(chance: random.Random, day: date, weather: dict[str, float]) -> Flight:
    """One flight of a day: late by the hour, the carrier and the weather; partly caught up in the air."""
    origin, dest = chance.sample(list(AIRPORTS), 2)
    carrier, habit = chance.choice(list(CARRIERS.items()))
    hour = int(chance.triangular(5, 23, 12))
    distance = miles(AIRPORTS[origin], AIRPORTS[dest])

    rush = math.exp(-(((hour - 8) / 2) ** 2)) + math.exp(-(((hour - 18) / 2.5) ** 2))
    trouble = 0.10 + 0.012 * (hour - 5) + 0.12 * weather[origin] + 0.05 * weather[dest]
    late = chance.expovariate(1 / 42) if chance.random() < min(trouble, 0.9) else 0.0
    dep_delay = chance.gauss(-4, 3.5) + habit + late + 5 * weather[origin]
    taxi_out = math.exp(chance.gauss(2.62, 0.3)) + 6 * rush + 9 * weather[origin] * chance.random()

    slack = 7 + 0.002 * distance
    caught_up = min(max(dep_delay, 0) * 0.08, 12)
    holding = weather[dest] * chance.expovariate(1 / 11)
    enroute = chance.gauss(0, 5 + 0.003 * distance)
    arr_delay = dep_delay - caught_up + (taxi_out - 16) - slack + holding + enroute
    return Flight(
        day.isoformat(),
        carrier,
        origin,
        dest,
        hour,
        round(distance),
        round(dep_delay),
        round(taxi_out),
        round(arr_delay),
    )


def flights() -> Iterator[Flight]:
    """Every flight of every day, always the same ones."""
    chance = random.Random(SEED)  # noqa: S311 (repeatable on purpose; nothing here is a secret)
    for number, weather in zip(range(DAYS), storms(chance), strict=False):
        day = FIRST_DAY + timedelta(days=number)
        yield from sorted((fly(chance, day, weather) for _ in range(FLIGHTS_A_DAY)), key=lambda flight: flight.dep_hour)


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV file's text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def flights_csv() -> str:
    """The flights as CSV."""
    return table((field.name for field in fields(Flight)), map(astuple, flights()))


def airports_csv() -> str:
    """The airports as CSV."""
    return table(("airport", "lat", "lon"), ((code, *place) for code, place in AIRPORTS.items()))


def main() -> None:
    """Write both files beside this script."""
    folder = Path(__file__).parent
    (folder / "flights.csv.gz").write_bytes(gzip.compress(flights_csv().encode(), mtime=0))
    (folder / "airports.csv").write_text(airports_csv())


if __name__ == "__main__":
    main()
