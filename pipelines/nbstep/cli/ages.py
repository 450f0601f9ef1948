"""Lengths of time as people write them: ``30d``, ``12h``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import click

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Age(click.ParamType[timedelta]):
    """A length of time: ``30d``, ``12h``, ``90m``, ``4w``."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The length of time."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([mhdw])", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is not an age such as 30d, 12h or 4w", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})
