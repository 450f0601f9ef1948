"""nbformat 4's schema as types, to accept a valid notebook in a millisecond.

What these types accept, nbformat accepts; what they do not, nbformat decides on. Importing nbformat's own validator
takes longer than a third of a kernel's start, and nearly every notebook is valid.
Source: nbformat's ``nbformat.v4.schema.json`` (4.0 to 4.5).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Text = str | list[str]
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9-_]+$", min_length=1, max_length=64)]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[^,]+$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Bundle = dict[str, Text]
"""Outputs that hold JSON are left to nbformat: what is allowed there depends on their MIME type's name."""


class Kernelspec(msgspec.Struct):
    """``metadata.kernelspec``."""

    name: str
    display_name: str


class LanguageInfo(msgspec.Struct):
    """``metadata.language_info``."""

    name: str


class NotebookMetadata(msgspec.Struct):
    """The notebook's metadata; other keys are free."""

    kernelspec: Kernelspec | msgspec.UnsetType = msgspec.UNSET
    language_info: LanguageInfo | msgspec.UnsetType = msgspec.UNSET
    orig_nbformat: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    title: str | msgspec.UnsetType = msgspec.UNSET
    authors: list[Any] | msgspec.UnsetType = msgspec.UNSET


class CellMetadata(msgspec.Struct):
    """A cell's metadata; other keys are free."""

    name: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    tags: list[Tag] | msgspec.UnsetType = msgspec.UNSET
    jupyter: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    execution: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    collapsed: bool | msgspec.UnsetType = msgspec.UNSET
    format: str | msgspec.UnsetType = msgspec.UNSET
    scrolled: bool | Literal["auto"] | msgspec.UnsetType = msgspec.UNSET


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

    outputs: list[Stream | DisplayData | ExecuteResult | Error]
    execution_count: Count | None


class Markdown(Cell, tag="markdown"):
    """A markdown cell."""

    attachments: dict[str, Bundle] | msgspec.UnsetType = msgspec.UNSET


class Raw(Cell, tag="raw"):
    """A raw cell."""

    attachments: dict[str, Bundle] | msgspec.UnsetType = msgspec.UNSET


class Notebook(msgspec.Struct, forbid_unknown_fields=True):
    """A notebook of nbformat 4."""

    metadata: NotebookMetadata
    nbformat: Literal[4]
    nbformat_minor: Annotated[int, msgspec.Meta(ge=0, le=5)]
    cells: list[Code | Markdown | Raw]


def is_surely_valid(notebook: dict[str, Any]) -> bool:
    """Whether nbformat would accept the notebook as it is; false where that takes nbformat to say."""
    try:
        checked = msgspec.convert(notebook, Notebook)
    except (msgspec.ValidationError, RecursionError):
        return False
    return _has_proper_ids(checked) and all(map(_has_proper_tags, checked.cells))


def _has_proper_ids(notebook: Notebook) -> bool:
    """Nbformat 4.5 brought ids, which are unique, and demands them."""
    ids = [cell.id for cell in notebook.cells]
    if notebook.nbformat_minor < 5:
        return set(ids) <= {msgspec.UNSET}
    return len(set(ids)) == len(ids) and msgspec.UNSET not in ids


def _has_proper_tags(cell: Cell) -> bool:
    tags = cell.metadata.tags
    return tags is msgspec.UNSET or len(set(tags)) == len(tags)
