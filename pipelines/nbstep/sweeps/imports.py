"""What a notebook imports, read from its cells: what a fork server can have ready for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAGIC: Final = ("%", "!", "?")


def imported_modules(notebook: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules of the import statements at the top level of a Python notebook's cells, in order, each once.

    ``from a.b import c`` counts as ``a.b.c``, which may be a module or something in ``a.b``. Lines of IPython's own
    syntax are passed over, and so are cells that are not Python otherwise.
    """
    found = (name for cell in notebook.get("cells", ()) for name in _of_cell(cell))
    return tuple(dict.fromkeys(name for name in found if name != "__future__" and not name.startswith("__future__.")))


def _of_cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = cell.get("source", "")
    text = source if isinstance(source, str) else "".join(map(str, source))
    if cell.get("cell_type") != "code" or text.lstrip().startswith("%%"):
        return
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(MAGIC))
    try:
        tree = ast.parse(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                yield statement.module if alias.name == "*" else f"{statement.module}.{alias.name}"
