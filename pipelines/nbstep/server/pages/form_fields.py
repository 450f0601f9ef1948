"""What a form asks: a field for each parameter of a notebook, and for each field of a profile that a request may set.

A field begins with a text, and what somebody leaves as it was is not given: a run keeps the defaults of its notebook,
or what the run before was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import msgspec

from nbstep.profiles import Profile
from nbstep_runner.contract import ParameterSource
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import MISSING, Parameter, Signature, value_of

PARAMETER: Final = "parameter."
OVERRIDE: Final = "override."
WAY: Final = "way."
"""What the names of a form's fields begin with: of values, of overrides, and of how a value is given."""
WAYS: Final = {"value": "value", "env": "secret in the variable", "file": "secret in the file"}
"""How a text is given: itself, or by where the notebook finds it."""
_USUAL: Final[dict[str, Any]] = msgspec.to_builtins(Profile())
_UNITS: Final = {"deadlines": "seconds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a form.

    Attributes:
        name: In the request; it ends with the name of what is asked for.
        title: What people call it, where that is not this name.
        initial: The text that it begins with.
        text: What stands in it now.
        type: What it takes, for people.
        note: What the notebook says about it.
        hint: Shown in it while it is empty.
        choices: All texts that it takes, each with how it is shown; empty where any may be typed.
        lines: It may have several lines.
        way: How its text is given, one of :data:`WAYS`; empty where it is a value in any case.
        initial_way: With which it began.
        needed: A run has to have a value, and has none yet.
        problem: Why what stands in it cannot be taken.
    """

    name: str
    title: str = ""
    initial: str = ""
    text: str = ""
    type: str = ""
    note: str = ""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    lines: bool = False
    way: str = ""
    initial_way: str = ""
    needed: bool = False
    problem: str = ""

    @property
    def key(self) -> str:
        """The name of what is asked for."""
        return self.name.partition(".")[2]

    @property
    def label(self) -> str:
        """What stands beside it."""
        return self.title or self.key or self.name.capitalize()

    @property
    def id(self) -> str:
        """By which a page finds it."""
        return quote(self.name, safe="")

    @property
    def given(self) -> bool:
        """Whether it says something that would not hold without it."""
        return (self.text, self.way) != (self.initial, self.initial_way)

    def filled(self, form: Mapping[str, str]) -> Field:
        """The same with what a form has in it; a browser ends its lines with two characters."""
        text = form.get(self.name, self.text).replace("\r\n", "\n")
        way = form.get(WAY + self.name, self.way)
        return replace(self, text=text, way=way if self.way and way in WAYS else self.way)


def parameter_fields(signature: Signature, earlier: Mapping[str, Any]) -> list[Field]:
    """A field for each parameter.

    Args:
        signature: What the notebook takes.
        earlier: What a run gave it that is run again; it stands in the fields in place of the defaults.
    """
    return [_parameter_field(each, earlier.get(each.name, each.default)) for each in signature.parameters]


def _parameter_field(parameter: Parameter, value: Any) -> Field:
    schema = parameter.kind.schema()
    choices = tuple((_json(choice), _shown(choice)) for choice in _choices(schema) or ())
    secret = _secret(value)
    way, text = secret or ("value", "" if value is MISSING else _json(value) if choices else _shown(value))
    needed = parameter.required and value is MISSING
    if choices and value is MISSING:
        choices = (("", "choose one" if needed else f"as the notebook has it: {parameter.default_source}"), *choices)
    default = f"as the notebook has it: {parameter.default_source}" if parameter.default_source and not text else ""
    takes_secrets = secret is not None or (not choices and _takes_text(schema))
    return Field(
        name=PARAMETER + parameter.name,
        initial=text,
        text=text,
        type=parameter.annotation or ("" if not schema else str(parameter.kind)),
        note=parameter.help,
        hint="" if choices else default,
        choices=() if secret else choices,
        lines="\n" in text or schema.get("type") in ("array", "object"),
        way=way if takes_secrets else "",
        initial_way=way if takes_secrets else "",
        needed=needed,
    )


def given_value(field: Field, parameter: Parameter) -> Any:
    """What a field that says something gives the notebook, in JSON's types.

    Raises:
        BadInputError: It cannot be taken; the message says why.
    """
    if field.choices:
        if field.text not in dict(field.choices):
            raise BadInputError("it is none of the choices")
        return value_of(ParameterSource.values({parameter.name: json.loads(field.text)}), parameter)
    if field.way in ("env", "file"):
        secret = {"secret": f"{field.way}:{field.text}"}
        return value_of(ParameterSource.values({parameter.name: secret}), parameter)
    return value_of(ParameterSource.typed(parameter.name, field.text), parameter)


def profile_fields(profile: Profile, opened: tuple[str, ...]) -> list[Field]:
    """A field for each field of a profile that a request may set; an empty one leaves the profile's."""
    values = msgspec.to_builtins(profile)
    return [_profile_field(values, path) for name in opened for path in _leaves(name)]


def _profile_field(values: Mapping[str, Any], path: str) -> Field:
    steps = _steps(path)
    usual, own = _at(_USUAL, steps), _at(values, steps)
    is_mapping = usual == {}
    hidden = steps[0] == "env" or own in (None, "", (), [], {})  # a variable's value may be nobody's to see
    hint = "" if hidden else f"the profile's: {own if isinstance(own, str) else json.dumps(own)}"
    return Field(
        name=OVERRIDE + path,
        hint=hint,
        type="NAME=value, one a line" if is_mapping else _written(steps, usual),
        choices=(("", hint), ("true", "true"), ("false", "false")) if isinstance(usual, bool) else (),
        lines=is_mapping,
    )


def _written(steps: Sequence[str], usual: Any) -> str:
    """How a field of a profile is written, for people, where its name does not say it."""
    return "separated by commas" if usual in ((), []) else _UNITS.get(steps[0], "")


def override_values(field: Field) -> Iterator[dict[str, Any]]:
    """What a field may mean as overrides, in the order in which it is tried: the schema of profiles says which fits."""
    *above, last = _steps(field.key)
    readings: list[Any] = [pairs(field.text)] if field.lines else [field.text]
    if not field.lines:
        try:
            readings.append(json.loads(field.text))
        except ValueError:
            readings.append([line.strip() for line in field.text.split(",")])
    for reading in readings:
        value = {last: reading}
        for step in reversed(above):
            value = {step: value}
        yield value


def pairs(text: str) -> dict[str, str]:
    """What lines of ``NAME=value`` say; a line without ``=`` has an empty value."""
    named = (line.partition("=") for line in text.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in named}


def _leaves(path: str) -> Iterator[str]:
    """The fields that a field of a profile is made of; itself, where it is no record of others."""
    inside = _at(_USUAL, _steps(path))
    if isinstance(inside, dict) and inside:
        for name in inside:
            yield from _leaves(f"{path}.{name}")
    else:
        yield path


def _steps(path: str) -> list[str]:
    """The names on the way to a field; of a mapping of people's own names, such as ``env``, all that follows is one."""
    here: Any = _USUAL
    steps, rest = [], path
    while rest and isinstance(here, dict) and here:
        name, _, rest = rest.partition(".")
        steps.append(name)
        here = here.get(name)
    return [*steps, rest] if rest else steps


def _at(values: Any, steps: list[str]) -> Any:
    for step in steps:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def _choices(schema: Mapping[str, Any]) -> list[Any] | None:
    """All values that a schema takes, where these are few."""
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get("type") in ("boolean", "null"):
        return [True, False] if schema["type"] == "boolean" else [None]
    parts = [_choices(each) for each in schema.get("anyOf", ())]
    if not parts or None in parts:
        return None
    return [choice for part in parts for choice in part or ()]


def _takes_text(schema: Mapping[str, Any]) -> bool:
    """Whether a plain text may be a value; nothing at all said is anything."""
    if "anyOf" in schema:
        return any(map(_takes_text, schema["anyOf"]))
    return not schema or (schema.get("type") == "string" and "format" not in schema)


def _secret(value: Any) -> tuple[str, str] | None:
    """How a value is given that is a secret's place, and that place."""
    if isinstance(value, dict) and list(value) == ["secret"]:
        way, _, place = str(value["secret"]).partition(":")
        return way, place
    return None


def _shown(value: Any) -> str:
    """A value as it is typed: text as it is, lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    return str(value) if value is None or isinstance(value, bool) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
