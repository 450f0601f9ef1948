"""Parameters whose given value has no effect, because a later cell sets the name before anything has read it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nbstep_runner.parameters.cells import first_tagged, source_text, tags
from nbstep_runner.parameters.language import notebook_language
from nbstep_runner.parameters.python_source import parse_python

_PASSED_OVER: Final = {"injected-parameters", "skip-execution"}


def overwritten(
    notebook: Mapping[str, Any], names: Iterable[str], *, language: str | None = None, kernel: str | None = None
) -> tuple[str, ...]:
    """A warning for each cell of a Python notebook that sets parameters which were given, before anything reads them.

    A cell that only may set a name, or that makes its new value of the given one, is none. Cells that do not hold a
    name are not parsed.

    Args:
        notebook: Of nbformat 4.
        names: Of the parameters that are given.
        language: Overrides the notebook's language.
        kernel: Overrides the notebook's kernel, whose language it may decide.
    """
    if notebook_language(notebook, kernel=kernel, language=language) != "python":
        return ()
    cells = notebook["cells"]
    tagged = first_tagged(cells, "parameters")
    open_names = set(names)
    warnings: list[str] = []
    for index in range(0 if tagged is None else tagged + 1, len(cells)):
        if not open_names:
            break
        if cells[index]["cell_type"] == "code" and not _PASSED_OVER.intersection(tags(cells[index])):
            lost, seen = _set_and_seen(source_text(cells[index]), open_names)
            open_names -= lost | seen
            if lost:
                warnings.append(_warning(index, sorted(lost), tagged))
    return tuple(warnings)


def _set_and_seen(source: str, names: set[str]) -> tuple[set[str], set[str]]:
    """Which of the names a cell sets for certain before it reads them, and which others occur in it."""
    occurring = {name for name in names if name in source}
    parsed = parse_python(source) if occurring else None
    if parsed is None:
        return set(), occurring
    lost: set[str] = set()
    seen = {
        name
        for line, kept in zip(source.splitlines(), parsed.lines, strict=False)
        if line != kept
        for name in occurring
        if name in line
    }  # lines of IPython's own
    for statement in parsed.tree.body:
        targets = _targets(statement)
        found = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        read = {node.id for node in found if isinstance(node.ctx, ast.Load) or node.id not in targets}
        seen |= read & occurring - lost
        lost |= targets & occurring - seen
    return lost, occurring - lost


def _targets(statement: ast.stmt) -> set[str]:
    """The names that a statement of a cell sets for certain."""
    match statement:
        case ast.Assign(targets=targets):
            found = [inner for target in targets for inner in getattr(target, "elts", [target])]
            return {target.id for target in found if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return {name}
        case _:
            return set()


def _warning(index: int, names: list[str], tagged: int | None) -> str:
    what = f"cell {index} sets {', '.join(names)} before anything has read the given value, which has no effect"
    tag = f"nbstep tag NOTEBOOK --cell {index}"
    if tagged is None:
        return f"{what}: make that cell the notebook's parameters with {tag}"
    return f"{what}: take that out of it, or make it the notebook's parameters with nbstep untag NOTEBOOK and {tag}"
