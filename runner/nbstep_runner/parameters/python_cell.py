"""The parameters that a Python cell declares: its assignments, read without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from nbstep_runner.parameters.annotations import Annotation, parse_annotation
from nbstep_runner.parameters.defaults import read_default
from nbstep_runner.parameters.kinds import ANY
from nbstep_runner.parameters.model import MISSING, Parameter
from nbstep_runner.parameters.python_source import PythonSource, parse_python

_TYPE_COMMENT = re.compile(r"type:\s*(?!ignore\b)(?P<rest>\S.*)")
_HEADINGS = frozenset(("parameters", "parameter", "params", "papermill", "papermill parameters"))


@dataclass(frozen=True, slots=True)
class _Assignment:
    """A name, and what its statement says of it; ``certain`` where the statement always runs."""

    name: str
    statement: ast.stmt
    value: ast.expr | None
    annotation: ast.expr | None
    certain: bool


def python_parameters(source: str) -> tuple[Parameter, ...] | None:
    """The parameters in the order of their first appearance; ``None`` where the cell is not Python.

    Assignments inside ``if``, ``try`` and ``with`` declare names whose default is unknown.
    """
    parsed = parse_python(source)
    if parsed is None:
        return None
    try:
        return _merged([_parameter(parsed, found) for found in _assignments(parsed.tree.body, certain=True)])
    except RecursionError:
        return None


def _merged(found: list[Parameter]) -> tuple[Parameter, ...]:
    """One parameter a name: a later assignment gives the default, an annotation stays."""
    merged: dict[str, Parameter] = {}
    for parameter in found:
        merged[parameter.name] = _both(merged.get(parameter.name), parameter)
    return tuple(merged.values())


def _both(before: Parameter | None, after: Parameter) -> Parameter:
    if before is None:
        return after
    value = after if after.default_source else before
    typed = after if after.annotation else before if before.annotation else value
    return Parameter(
        name=after.name,
        annotation=typed.annotation,
        default=value.default,
        default_source=value.default_source,
        help=after.help or before.help,
        required=before.required and after.required,
        kind=typed.kind,
    )


def _assignments(body: list[ast.stmt], *, certain: bool) -> Iterator[_Assignment]:
    for statement in body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                yield _Assignment(name, statement, value, annotation, certain)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from _targets(target, value, statement, certain=certain)
            case ast.If() | ast.Try() | ast.TryStar() | ast.With():
                yield from _assignments(_inner(statement), certain=False)


def _inner(statement: ast.stmt) -> list[ast.stmt]:
    bodies = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
    bodies += [handler.body for handler in getattr(statement, "handlers", [])]
    return [inner for body in bodies for inner in body]


def _targets(target: ast.expr, value: ast.expr, statement: ast.stmt, *, certain: bool) -> Iterator[_Assignment]:
    """``x = 1``, and ``x, y = 1, 2`` name by name."""
    if isinstance(target, ast.Name):
        yield _Assignment(target.id, statement, value, None, certain)
    elif isinstance(target, (ast.Tuple, ast.List)):
        values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
        same = len(values) == len(target.elts)
        for index, inner in enumerate(target.elts):
            yield from _targets(inner, values[index] if same else value, statement, certain=certain and same)


def _parameter(parsed: PythonSource, found: _Assignment) -> Parameter:
    comment, help_text = _help(parsed, found.statement)
    annotation, written = _annotation(parsed, found, comment)
    default = read_default(found.value) if found.value is not None and found.certain else None
    return Parameter(
        name=found.name,
        annotation=written,
        default=default.value if default else MISSING,
        default_source=parsed.segment(found.value) if found.value is not None else "",
        help=annotation.help or help_text,
        required=found.value is None and found.certain,
        kind=annotation.kind if written is not None else default.kind if default else ANY,
    )


def _annotation(parsed: PythonSource, found: _Assignment, type_comment: str) -> tuple[Annotation, str | None]:
    if found.annotation is not None:
        return parse_annotation(found.annotation), parsed.segment(found.annotation)
    if type_comment:
        return parse_annotation(type_comment), type_comment
    return Annotation(), None


def _help(parsed: PythonSource, statement: ast.stmt) -> tuple[str, str]:
    """The type comment and the help text: beside the statement, else in the lines directly above it."""
    last = statement.end_lineno or statement.lineno
    beside = parsed.comments.get(last) or parsed.comments.get(statement.lineno, "")
    type_comment, text = _split_type(beside)
    return type_comment, text or _above(parsed, statement.lineno)


def _above(parsed: PythonSource, line: int) -> str:
    first = line
    while first - 1 in parsed.bare:
        first -= 1
    texts = [parsed.comments[number].strip("-=# ") for number in range(first, line)]
    return " ".join(text for text in texts if text and text.lower().rstrip(":") not in _HEADINGS)


def _split_type(comment: str) -> tuple[str, str]:
    """``type: dict[str, int] what it is for`` as the type and the rest, by the brackets that belong together."""
    found = _TYPE_COMMENT.match(comment)
    if not found:
        return "", comment
    rest, depth = found["rest"], 0
    for index, character in enumerate(rest):
        depth += (character in "[(") - (character in "])")
        if character.isspace() and depth <= 0 and "|" not in (rest[:index].rstrip()[-1:], rest[index:].lstrip()[:1]):
            return rest[:index], rest[index:].strip().lstrip("#").strip()
    return rest, ""
