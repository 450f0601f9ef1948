"""The two cells that mark a failure in the executed notebook, where papermill's readers look for them.

papermill 2.7 (``raise_for_execution_errors``) puts a note at the notebook's top, which links to an anchor before the
failing cell; both carry its tag. A rerun removes them (``papermill_bridge``).
"""

from __future__ import annotations

from html import escape
from typing import Any, Final
from uuid import uuid4

from nbstep_runner.contract import ErrorInfo
from nbstep_runner.engine.document import Document
from nbstep_runner.papermill_bridge import ERROR_MARKER_TAG

ANCHOR: Final = "papermill-error-cell"
NOTE: Final = """\
<span style="color:red; font-size:2em;">An Exception was encountered at '<a href="#{anchor}">In [{count}]</a>'.</span>

<span style="color:red;">{message}</span>"""
HERE: Final = '<span id="{anchor}" style="color:red; font-size:2em;">The run stopped at the next cell:</span>'


def mark(document: Document, error: ErrorInfo) -> None:
    """Mark the cell of an error; nothing is marked for an error that has none."""
    if error.cell_index is None:
        return
    count = document.cells[error.cell_index].get("execution_count")
    note = NOTE.format(anchor=ANCHOR, count=" " if count is None else count, message=escape(error.message))
    document.insert(error.cell_index, _cell(HERE.format(anchor=ANCHOR)))
    document.insert(0, _cell(note))


def _cell(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": uuid4().hex[:8], "metadata": {"tags": [ERROR_MARKER_TAG]}, "source": source}
