"""From the sources of parameters to the values that the notebook gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbstep_runner.contract import ParameterKind, ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.jsonable import digest, jsonable
from nbstep_runner.parameters.kinds import ANY, MismatchError
from nbstep_runner.parameters.languages import find_language
from nbstep_runner.parameters.model import Parameter, Signature
from nbstep_runner.parameters.plain import Typed
from nbstep_runner.parameters.safe_yaml import load_yaml
from nbstep_runner.parameters.secret import secrets_in

_OURS = frozenset(("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"))
"""papermill's names for the run's own paths, which no notebook has to declare."""
_MAX_PROBLEMS = 20
_NAME_CHARACTERS = 60
_LIKE_A_SECRET = re.compile(r"\s*\{\s*secret\s*:\s*((?:env|file):[^\s{}]{1,200})\s*\}\s*")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values to inject, by name: only what was given, never the notebook's defaults.

    Attributes:
        values: Of JSON's types, and where a declared type asks for it also tuples, dates and ``PathText``.
            Secrets, also those inside lists and mappings, are ``SecretReference`` objects.
        warnings: What whoever started the run should know.
    """

    values: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The values as strict JSON holds them, for records and metadata; secrets as their references."""
        return {name: jsonable(value) for name, value in self.values.items()}

    def digest(self) -> str:
        """Names the values: ``sha256:…``, the same for the same values in any order of names."""
        return digest(self.values)

    def secret_values(self) -> tuple[str, ...]:
        """The secrets themselves, read now, for masking.

        Raises:
            BadInputError: A secret cannot be read; the message names the parameters and the places, never a value.
        """
        found: list[str] = []
        problems: list[str] = []
        for name, value in self.values.items():
            for secret in secrets_in(value):
                try:
                    found.append(secret.value())
                except BadInputError as error:
                    problems.append(f"{name}: {error.message}")
        if problems:
            raise BadInputError("; ".join(problems), hint="Give the secret to the process that runs the notebook.")
        return tuple(dict.fromkeys(found))


def resolve(
    sources: Sequence[ParameterSource],
    read: Callable[[str], bytes],
    signature: Signature,
    *,
    unknown: UnknownParameters,
) -> Resolved:
    """Merge the sources in order (a later one wins), give each value its declared type, and check them all.

    A value that loses to a later source is not checked. Where the signature is not complete no name is unknown.

    Args:
        sources: Where values come from.
        signature: What the notebook declares.
        read: Gets the bytes of a parameters file from its URI; its errors pass through.
        unknown: What to do with a name that the notebook does not declare. It is injected unless it is an error.

    Raises:
        BadInputError: A document cannot be read, or values do not fit; the message lists every problem, a line each.
    """
    given: dict[str, Any] = {}
    for source in sources:
        given |= _values(source, read)
    checker = _Checker(signature)
    values = {name: checker.value(name, value) for name, value in given.items() if checker.name(name)}
    strangers = _unknown(values, signature)
    problems = [
        *checker.problems,
        *(strangers if unknown is UnknownParameters.ERROR else []),
        *_missing(given, signature),
    ]
    if problems:
        raise _refused(problems, signature)
    warned = strangers if unknown is UnknownParameters.WARN else []
    return Resolved(values, (*_general_warnings(values, signature), *warned, *_no_secrets(values)))


def value_of(source: ParameterSource, parameter: Parameter) -> Any:
    """The only value of a source as a parameter's, in JSON's types.

    Args:
        source: A text that was typed, or a value.
        parameter: Whose it is to be.

    Raises:
        BadInputError: It does not fit; the message says why, and names nothing.
    """
    (value,) = (source.mapping or {parameter.name: Typed(source.text)}).values()
    try:
        return jsonable(parameter.kind.accept(carriable(value)))
    except MismatchError as error:
        raise BadInputError(f"{error.path}: {error.reason}" if error.path else error.reason) from None


def _values(source: ParameterSource, read: Callable[[str], bytes]) -> Mapping[str, Any]:
    match source.kind:
        case ParameterKind.FILE:
            from nbstep_runner.stores.uris import redact  # the room of the stores is read by runs that have files

            return load_yaml(read(source.uri), where=f"the parameters file {redact(source.uri)}")
        case ParameterKind.YAML:
            return load_yaml(source.text.encode(errors="surrogateescape"), where="the YAML of parameters")
        case ParameterKind.TEXT:
            return {source.name: Typed(source.text)}
        case ParameterKind.RAW:
            return {source.name: source.text}
        case ParameterKind.VALUES:
            return source.mapping


class _Checker:
    """Gives values their types and names, and collects what is wrong with them."""

    def __init__(self, signature: Signature) -> None:
        self.problems: list[str] = []
        self._signature = signature
        self._language = find_language(signature.language)

    def name(self, name: Any) -> bool:
        """Whether the name can be one; if not, that is a problem."""
        problem = self._language.name_problem(name) if isinstance(name, str) else "not text"
        if problem:
            self.problems.append(f"{ascii(name)[:_NAME_CHARACTERS]}: {problem}")
        return not problem

    def value(self, name: str, value: Any) -> Any:
        """The value as the name's declared type; ``None`` where that is a problem."""
        parameter = self._signature.get(name)
        try:
            return (parameter.kind if parameter else ANY).accept(carriable(value))
        except MismatchError as error:
            self.problems.append(f"{name}{error.path}: {error.reason}{_declared(parameter)}")
        return None


def _declared(parameter: Parameter | None) -> str:
    if parameter is None or parameter.annotation == str(parameter.kind):
        return ""
    if parameter.annotation:
        return f" (declared {parameter.annotation})"
    return f" (its default is {parameter.default_source[:60]})" if parameter.default_source else ""


def _unknown(values: Mapping[str, Any], signature: Signature) -> list[str]:
    if not signature.complete:
        return []
    return [_unknown_sentence(name, signature) for name in values if name not in signature.names and name not in _OURS]


def _unknown_sentence(name: str, signature: Signature) -> str:
    from difflib import get_close_matches

    by_case = {known.lower(): known for known in signature.names}
    close = get_close_matches(name.lower(), by_case, n=1)
    suggestion = f"; did you mean {by_case[close[0]]}?" if close else ""
    return f"{name[:_NAME_CHARACTERS]}: the notebook declares no such parameter{suggestion}"


def _missing(given: Mapping[str, Any], signature: Signature) -> list[str]:
    return [
        f"{parameter.name}: no value is given, and the notebook declares no default"
        for parameter in signature.parameters
        if parameter.required and parameter.name not in given
    ]


def _general_warnings(values: Mapping[str, Any], signature: Signature) -> list[str]:
    if values.keys() <= _OURS or signature.complete:
        return []
    if not signature.declared:
        return ["the notebook has no code cell tagged 'parameters': the parameters are injected unchecked"]
    return ["the cell tagged 'parameters' cannot be inspected: names and types of the parameters are not checked"]


def _no_secrets(values: Mapping[str, Any]) -> list[str]:
    """Of each text that reads like a secret's reference: a declared ``str`` takes what is typed as it stands."""
    return [
        f"{name}: this is text and no secret: refer to one in a file, or as -y '{name}: {{secret: {like[1]}}}'"
        for name, value in values.items()
        if isinstance(value, str) and (like := _LIKE_A_SECRET.fullmatch(value))
    ]


def _refused(problems: list[str], signature: Signature) -> BadInputError:
    left_out = len(problems) - _MAX_PROBLEMS
    lines = problems[:_MAX_PROBLEMS] + ([f"and {left_out} more"] if left_out > 0 else [])
    listed = f" {lines[0]}" if len(lines) == 1 else "".join(f"\n  - {line}" for line in lines)
    names = ", ".join(signature.names[:_MAX_PROBLEMS])
    hint = f"The notebook declares {names}." if names else ""
    return BadInputError(f"the parameters do not fit the notebook:{listed}", hint=hint)
