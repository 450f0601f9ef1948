"""The parameters that a JavaScript or TypeScript cell declares: its ``let``, ``const`` and ``var`` at the top level.

Only as much of the language is read as tells where a declaration ends: texts, comments and brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from nbstep_runner.parameters.annotations import union
from nbstep_runner.parameters.containers import DictKind, ListKind, LiteralKind
from nbstep_runner.parameters.kinds import ANY, BoolKind, FloatKind, IntKind, Kind, NoneKind, StrKind
from nbstep_runner.parameters.limits import MAX_CELL_CHARACTERS
from nbstep_runner.parameters.model import MISSING, Parameter

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"""
    r"""|(?P<end>;|\n)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<odd>["'`]|/\*)|(?P<other>[^\s"'`;/()\[\]{}]+|/|[^\S\n]+)""",
    re.DOTALL,
)
_DECLARATION = re.compile(r"\s*(?:export\s+)?(?P<keyword>let|const|var)\s+(?P<rest>.*)", re.DOTALL)
_DECLARATOR = re.compile(r"\s*(?P<name>[A-Za-z_$][\w$]*)\s*(?:!\s*)?(?P<rest>[:=].*)?", re.DOTALL)
_GOES_ON = frozenset(",=+-*/%&|?:.<([{")
_DEEPEST_TYPE = 16
_SIMPLE = {"number": FloatKind(), "string": StrKind(), "boolean": BoolKind(), "bigint": IntKind()}
_SIMPLE |= {"null": NoneKind(), "undefined": NoneKind()}
_DEFAULTS: dict[type, Kind] = {bool: BoolKind(), int: FloatKind(), float: FloatKind(), str: StrKind()}
_DEFAULTS |= {list: ListKind(), dict: DictKind()}


@dataclass(frozen=True, slots=True)
class Declaration:
    """One name that is declared: by which keyword, of which type, with which value and which comment beside it."""

    name: str
    keyword: str
    annotation: str
    value: str
    comment: str

    @property
    def is_bigint(self) -> bool:
        """Whether its values are integers of any size."""
        return self.annotation.startswith("bigint") or bool(re.fullmatch(r"-?\d+n", self.value))


def javascript_parameters(source: str) -> tuple[Parameter, ...] | None:
    """The parameters in the order of their declarations; ``None`` where the cell cannot be read, or is far too long."""
    declared = javascript_declarations(source)
    return None if declared is None else tuple(_parameter(found) for found in declared.values())


def javascript_declarations(source: str) -> dict[str, Declaration] | None:
    """What is declared at the top level, by name; ``None`` where brackets or quotes do not match, or it is taken apart.

    A declaration that takes a value apart (``const {a} = …``) names what only running it tells.
    """
    found: dict[str, Declaration] = {}
    if len(source) > MAX_CELL_CHARACTERS:
        return None
    try:
        for statement, comment in _statements(source):
            if declaration := _DECLARATION.fullmatch(statement):
                for part in _split(declaration["rest"], ","):
                    one = _declaration(part, declaration["keyword"], comment)
                    found[one.name] = one
    except ValueError:
        return None
    return found


def _statements(source: str) -> list[tuple[str, str]]:
    """Each statement without its comments, and the comment on its last line; raises ``ValueError``."""
    found: list[tuple[str, int]] = []
    comments: dict[int, str] = {}
    text: list[str] = []
    last, depth, line = "", 0, 0
    for token in _tokens(source):
        ends = token.lastgroup == "end" and depth == 0 and not (token[0] == "\n" and last in _GOES_ON)
        if token.lastgroup == "comment":
            comments[line] = token[0].strip("/* \t")
        elif ends:
            found.append(("".join(text), line))
            text, last = [], ""
        else:
            depth += (token.lastgroup == "open") - (token.lastgroup == "close")
            text.append(token[0])
            last = token[0].rstrip()[-1:] or last
        line += token[0].count("\n")
    if depth:
        raise ValueError(source)
    return [(statement, comments.get(end, "")) for statement, end in (*found, ("".join(text), line))]


def _tokens(source: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        if token is None or token.lastgroup == "odd":
            raise ValueError(source[at : at + 20])
        yield token
        at = token.end()


def _split(text: str, mark: str) -> list[str]:
    """The parts between the marks that stand in no bracket and no text; ``<…>`` are brackets in a type."""
    parts, depth, start, in_type = [], 0, 0, False
    for token in re.finditer(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|=>|.""", text, re.DOTALL):
        one = token[0]
        if depth == 0 and one in ":=":
            in_type = one == ":"
        depth += one in ("(", "[", "{") or (in_type and one == "<")
        depth -= one in (")", "]", "}") or (in_type and one == ">")
        if one == mark and depth == 0:
            parts.append(text[start : token.start()])
            start, in_type = token.end(), False
    return [*parts, text[start:]]


def _declaration(text: str, keyword: str, comment: str) -> Declaration:
    found = _DECLARATOR.fullmatch(text)
    if not found:
        raise ValueError(text)
    rest = (found["rest"] or "").strip()
    annotation, _, value = _typed(rest[1:]) if rest.startswith(":") else ("", "", rest.removeprefix("="))
    return Declaration(found["name"], keyword, annotation.strip(), value.strip(), comment)


def _typed(text: str) -> tuple[str, str, str]:
    """A type and the value after it."""
    annotation, *value = _split(text, "=")
    return annotation, "=", "=".join(value)


def _parameter(found: Declaration) -> Parameter:
    default = _value(found.value)
    implied = IntKind() if found.is_bigint else _DEFAULTS.get(type(default), ANY)
    return Parameter(
        name=found.name,
        annotation=found.annotation or None,
        default=default,
        default_source=found.value,
        help=found.comment,
        required=not found.value,
        kind=_kind(found.annotation) if found.annotation else implied,
    )


def _value(source: str) -> Any:
    """The value of a literal; ``MISSING`` where it has to be computed."""
    if re.fullmatch(r"-?\d+n", source):
        return int(source[:-1])
    if re.fullmatch(r"'[^'\\]*'|`[^`\\$]*`", source):
        return source[1:-1]
    try:
        return json.loads(source, parse_constant=lambda _: MISSING)
    except (ValueError, RecursionError):
        return MISSING


def _kind(annotation: str, depth: int = 0) -> Kind:  # noqa: PLR0911 - a return for each type
    """The kind of value that a TypeScript type asks for; what is not recognised, or too deep, takes anything."""
    if depth > _DEEPEST_TYPE:
        return ANY
    text, inner = annotation.strip(), partial(_kind, depth=depth + 1)
    options = [part for part in _split(f":{text}", "|") if part.strip(": ")]
    if len(options) > 1:
        return union([inner(part.strip().removeprefix(":")) for part in options])
    if text in _SIMPLE:
        return _SIMPLE[text]
    if text.endswith("[]"):
        return ListKind(inner(text[:-2].removeprefix("readonly ")))
    if found := re.fullmatch(r"(?:Readonly)?Array<(.*)>", text, re.DOTALL):
        return ListKind(inner(found[1]))
    if found := re.fullmatch(r"Record<\s*string\s*,(.*)>", text, re.DOTALL):
        return DictKind(item=inner(found[1]))
    if found := re.fullmatch(r"\((.*)\)", text, re.DOTALL):
        return inner(found[1])
    literal = _value(text)
    return LiteralKind((literal,)) if isinstance(literal, (str, int)) else DictKind() if text[:1] == "{" else ANY
