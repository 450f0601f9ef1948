"""What several commands are given in the same way: pairs, ages such as ``30d``, and the sources of parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import click

from nbstep_runner.contract import STANDARD_STREAM, ParameterSource
from nbstep_runner.errors import UsageError

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Pair(click.ParamType[tuple[str, str]]):
    """``NAME=VALUE``.

    Args:
        form: How it is written, for help and errors.
        empty: Whether the value may be empty.
    """

    def __init__(self, form: str = "name=value", *, empty: bool = True) -> None:
        self.name = form
        self._empty = empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The name and the value."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not (name and equals and (text or self._empty)):
            self.fail(f"{value!r} is not {self.name.upper()}", param, ctx)
        return name, text


def parameter_sources(params: str | None, options: Mapping[str, Any]) -> list[ParameterSource]:
    """The parameters that a command was given, in papermill's order: each wins over the ones before it."""
    return [
        *(ParameterSource.file(uri) for uri in (*((params,) if params else ()), *options["parameters_file"])),
        *(ParameterSource.yaml(text) for text in options["parameters_yaml"]),
        *(ParameterSource.typed(name, text) for name, text in options["parameters"]),
        *(ParameterSource.raw(name, text) for name, text in options["parameters_raw"]),
    ]


def submitted_sources(params: str | None, options: Mapping[str, Any]) -> list[ParameterSource]:
    """As :func:`parameter_sources`, of what does not run in this process.

    Raises:
        UsageError: They would come from a pipe.
    """
    if params == STANDARD_STREAM:
        raise UsageError("parameters of a submitted run come from a file, not from a pipe", hint="Name the file.")
    return parameter_sources(params, options)


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
