"""nbformat 4.5's schema as types, to accept a valid notebook in a millisecond.

What these types accept, nbformat accepts; what they do not, is repaired or left to nbformat to judge. Importing
nbformat's own validator takes longer than a third of a kernel's start, and nearly every notebook is valid.
Source: nbformat's ``nbformat.v4.schema.json`` (4.0 to 4.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec

MINOR: Final = 5
"""The newest minor version of format 4 that is known here."""
Text = str | list[str]
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9-_]+$", min_length=1, max_length=64)]
Name = Annotated[str, msgspec.Meta(pattern=r"^.+$")]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[^,]+$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Bundle = dict[str, Any]
"""What an output shows, by MIME type; :func:`_holds_text` checks it, because the type's name decides on the value."""
_HOLDS_JSON = re.compile(r"^application/(.*\+)?json$")


class Kernelspec(msgspec.Struct):
    """``metadata.kernelspec``."""

    name: str
    display_name: str


class LanguageInfo(msgspec.Struct):
    """``metadata.language_info``."""

    name: str
    codemirror_mode: str | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    file_extension: str | msgspec.UnsetType = msgspec.UNSET
    mimetype: str | msgspec.UnsetType = msgspec.UNSET
    pygments_lexer: str | msgspec.UnsetType = msgspec.UNSET


class NotebookMetadata(msgspec.Struct):
    """The notebook's metadata; other keys are free."""

    kernelspec: Kernelspec | msgspec.UnsetType = msgspec.UNSET
    language_info: LanguageInfo | msgspec.UnsetType = msgspec.UNSET
    orig_nbformat: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    title: str | msgspec.UnsetType = msgspec.UNSET
    authors: list[Any] | msgspec.UnsetType = msgspec.UNSET


class CellMetadata(msgspec.Struct):
    """Any cell's metadata; other keys are free."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    tags: list[Tag] | msgspec.UnsetType = msgspec.UNSET
    jupyter: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class CodeMetadata(CellMetadata):
    """A code cell's metadata."""

    execution: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    collapsed: bool | msgspec.UnsetType = msgspec.UNSET
    scrolled: bool | Literal["auto"] | msgspec.UnsetType = msgspec.UNSET


class RawMetadata(CellMetadata):
    """A raw cell's metadata."""

    format: str | msgspec.UnsetType = msgspec.UNSET


class Output(msgspec.Struct, tag_field="output_type", forbid_unknown_fields=True):
    """Any output."""


class Stream(Output, tag="stream"):
    """Printed text."""

    name: str
    text: Text


class DisplayData(Output, tag="display_data"):
    """A display."""

    data: Bundle
    metadata: dict[str, Any]


class ExecuteResult(Output, tag="execute_result"):
    """A cell's value."""

    data: Bundle
    metadata: dict[str, Any]
    execution_count: Count | None


class Error(Output, tag="error"):
    """An exception."""

    ename: str
    evalue: str
    traceback: list[str]


class Cell(msgspec.Struct, tag_field="cell_type", forbid_unknown_fields=True):
    """Any cell."""

    metadata: CellMetadata
    source: Text
    id: Id | msgspec.UnsetType = msgspec.UNSET


class Code(Cell, tag="code", kw_only=True):
    """A code cell."""

    metadata: CodeMetadata
    outputs: list[Stream | DisplayData | ExecuteResult | Error]
    execution_count: Count | None


class Markdown(Cell, tag="markdown"):
    """A markdown cell."""

    attachments: dict[str, Bundle] | msgspec.UnsetType = msgspec.UNSET


class Raw(Cell, tag="raw", kw_only=True):
    """A raw cell."""

    metadata: RawMetadata
    attachments: dict[str, Bundle] | msgspec.UnsetType = msgspec.UNSET


class Notebook(msgspec.Struct, forbid_unknown_fields=True):
    """A notebook of nbformat 4."""

    metadata: NotebookMetadata
    nbformat: Literal[4]
    nbformat_minor: Annotated[int, msgspec.Meta(ge=0, le=MINOR)]
    cells: list[Code | Markdown | Raw]


def is_surely_valid(notebook: dict[str, Any]) -> bool:
    """Whether nbformat would accept the notebook as it is; false where that takes nbformat to say."""
    try:
        checked = msgspec.convert(notebook, Notebook)
    except (msgspec.ValidationError, RecursionError):
        return False
    return _has_proper_ids(checked) and all(map(_is_proper, checked.cells))


def is_valid(part: Any, kind: Any) -> bool:
    """Whether a part of a notebook is of a kind: one of the types here, such as ``Id`` or ``Stream``."""
    try:
        checked = msgspec.convert(part, kind)
    except (msgspec.ValidationError, RecursionError):
        return False
    return not isinstance(checked, DisplayData | ExecuteResult) or _holds_text([checked.data])


def are_attachments(value: Any) -> bool:
    """Whether a cell's attachments are what the schema says."""
    return is_valid(value, dict[str, Bundle]) and _holds_text(value.values())


def _has_proper_ids(notebook: Notebook) -> bool:
    """Nbformat 4.5 brought ids, which are unique, and demands them."""
    ids = [cell.id for cell in notebook.cells]
    if notebook.nbformat_minor < MINOR:
        return set(ids) <= {msgspec.UNSET}
    return len(set(ids)) == len(ids) and msgspec.UNSET not in ids


def _is_proper(cell: Code | Markdown | Raw) -> bool:
    """What types cannot say: tags are distinct, and what is no JSON by its MIME type is text."""
    tags = cell.metadata.tags
    if tags is not msgspec.UNSET and len(set(tags)) != len(tags):
        return False
    if isinstance(cell, Code):
        return _holds_text(each.data for each in cell.outputs if isinstance(each, DisplayData | ExecuteResult))
    return cell.attachments is msgspec.UNSET or _holds_text(cell.attachments.values())


def _holds_text(bundles: Iterable[Bundle]) -> bool:
    return all(
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(line, str) for line in value))
        or _HOLDS_JSON.search(mime)
        for bundle in bundles
        for mime, value in bundle.items()
    )
