"""The source of a Python cell: its syntax tree and its comments, IPython's own lines left out."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from dataclasses import dataclass, field
from functools import cached_property

from nbstep_runner.parameters.limits import MAX_CELL_CHARACTERS

# Cell magics that run the rest of the cell as Python in the notebook's own namespace.
_PYTHON_MAGICS = ("%%time", "%%capture", "%%prun")
_SHELL_OR_MAGIC = re.compile(r"^(?P<indent>\s*)(!|%[A-Za-z]|\?|[\w.]+\?{1,2}\s*$)")
_CAPTURED = re.compile(r"^(?P<target>\s*[\w, ]+=\s*)(!|%[A-Za-z])")


@dataclass(frozen=True)
class PythonSource:
    """A parsed cell.

    Attributes:
        tree: The statements, with the line numbers of ``lines``.
        lines: The source, IPython's lines replaced.
        comments: The comment of each line that has one, without ``#``.
        bare: The lines that hold nothing but a comment.
    """

    tree: ast.Module
    lines: list[str]
    comments: dict[int, str] = field(default_factory=dict)
    bare: frozenset[int] = frozenset()

    def segment(self, node: ast.expr) -> str:
        """The source of an expression."""
        last = node.end_lineno or node.lineno
        if last == node.lineno:
            return self._encoded[last - 1][node.col_offset : node.end_col_offset].decode()
        first, *inner, end = self._encoded[node.lineno - 1 : last]
        return b"\n".join((first[node.col_offset :], *inner, end[: node.end_col_offset])).decode()

    @cached_property
    def _encoded(self) -> list[bytes]:
        """The lines in UTF-8, which the tree counts its columns in."""
        return [line.encode() for line in self.lines]


def parse_python(source: str) -> PythonSource | None:
    """The parsed cell; ``None`` where it is not Python even without IPython's lines."""
    if len(source) > MAX_CELL_CHARACTERS:
        return None
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    for text in (source, _without_ipython(source)):
        tree = _parse(text)
        if tree is not None:
            comments, bare = _comments(text)
            return PythonSource(tree, text.split("\n"), comments, bare)
    return None


def _parse(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in the notebook is the notebook's to report
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
            return None


def _without_ipython(source: str) -> str:
    """The same number of lines; shell commands and magics do nothing, what they assign is unknown."""
    lines = source.split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith(_PYTHON_MAGICS):
        lines[first] = ""
    continued = False
    for index, line in enumerate(lines):
        if continued:
            lines[index] = ""
        elif found := _CAPTURED.match(line):
            lines[index] = f"{found['target']}..."
        elif found := _SHELL_OR_MAGIC.match(line):
            lines[index] = f"{found['indent']}pass"
        continued = line.endswith("\\") and lines[index] != line
    return "\n".join(lines)


def _comments(text: str) -> tuple[dict[int, str], frozenset[int]]:
    found: dict[int, str] = {}
    bare: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                line = token.start[0]
                found[line] = token.string.lstrip("#").strip()
                if not token.line[: token.start[1]].strip():
                    bare.add(line)
    except (tokenize.TokenError, SyntaxError):  # what the tokenizer alone refuses has no help text
        pass
    return found, frozenset(bare)
