"""The parameters that a Python cell declares: its assignments, read without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

from nbstep_runner.parameters.annotations import Annotation, parse_annotation
from nbstep_runner.parameters.defaults import read_default
from nbstep_runner.parameters.kinds import ANY
from nbstep_runner.parameters.model import MISSING, Parameter
from nbstep_runner.parameters.python_source import PythonSource, parse_python

_TYPE_COMMENT = re.compile(r"type:\s*(?!ignore\b)(?P<rest>\S.*)")
_MARK = re.compile(r"[\[\]()]|\s+")
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
    reader = _Reader(parsed)
    try:
        return _merged([reader.parameter(found) for found in _assignments(parsed.tree.body, certain=True)])
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


class _Reader:
    """Reads what the statements of one cell say; what many names share, such as a value or a comment, is read once."""

    def __init__(self, parsed: PythonSource) -> None:
        self._parsed = parsed
        self._segment = cache(parsed.segment)
        self._default = cache(read_default)
        self._typed = cache(parse_annotation)
        self._split = cache(_split_type)
        self._above = cache(partial(_above, parsed))

    def parameter(self, found: _Assignment) -> Parameter:
        """What is said of one name."""
        comment, help_text = self._help(found.statement)
        annotation, written = self._annotation(found, comment)
        default = self._default(found.value) if found.value is not None and found.certain else None
        return Parameter(
            name=found.name,
            annotation=written,
            default=default.value if default else MISSING,
            default_source=self._segment(found.value) if found.value is not None else "",
            help=annotation.help or help_text,
            required=found.value is None and found.certain,
            kind=annotation.kind if written is not None else default.kind if default else ANY,
        )

    def _annotation(self, found: _Assignment, type_comment: str) -> tuple[Annotation, str | None]:
        if found.annotation is not None:
            return self._typed(found.annotation), self._segment(found.annotation)
        if type_comment:
            return self._typed(type_comment), type_comment
        return Annotation(), None

    def _help(self, statement: ast.stmt) -> tuple[str, str]:
        """The type comment and the help text: beside the statement, else in the lines directly above it."""
        comments, last = self._parsed.comments, statement.end_lineno or statement.lineno
        type_comment, text = self._split(comments.get(last) or comments.get(statement.lineno, ""))
        return type_comment, text or self._above(statement.lineno)


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
    for mark in _MARK.finditer(rest):
        before, after = rest[mark.start() - 1 : mark.start()], rest[mark.end() : mark.end() + 1]
        depth += (mark[0] in "[(") - (mark[0] in "])")
        if mark[0].isspace() and depth <= 0 and "|" not in (before, after):
            return rest[: mark.start()], rest[mark.end() :].strip().lstrip("#").strip()
    return rest, ""
